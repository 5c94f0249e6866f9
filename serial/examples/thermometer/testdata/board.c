/* The Arduino example's client as a program of this machine, for a test: its
 * UART is the terminal named by the first argument. It counts on board/count
 * and repeats on board/echo what it is told on board/set. */
#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../../arduino/dunlin_uart/dunlin_uart.h"

static int fd;
static struct dunlin mqtt;

static int line_read(void) {
  static uint8_t buffer[256];
  static ssize_t n, at;
  if (at == n) {
    at = 0;
    n = read(fd, buffer, sizeof buffer);
    if (n <= 0) return n = at = 0, -1;
  }
  return buffer[at++];
}

static void line_write(uint8_t b) {
  while (write(fd, &b, 1) != 1) usleep(100);
}

static uint32_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint32_t)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

static void on_message(const char *topic, const uint8_t *payload, uint16_t n) {
  char text[64] = {0};
  if (strcmp(topic, "board/set") || n >= sizeof text) return;
  memcpy(text, payload, n);
  dunlin_publish(&mqtt, "board/echo", text, 0, false);
}

int main(int argc, char **argv) {
  struct termios t;
  fd = open(argv[argc - 1], O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (fd < 0 || tcgetattr(fd, &t)) return perror(argv[argc - 1]), 1;
  cfmakeraw(&t);
  tcsetattr(fd, TCSANOW, &t);
  mqtt.read = line_read;
  mqtt.write = line_write;
  mqtt.now = now;
  mqtt.id = "board";
  mqtt.will_topic = "board/status";
  mqtt.will_message = "offline";
  mqtt.filter = "board/set";
  mqtt.keep_alive = 2;
  mqtt.message = on_message;
  for (unsigned count = 0;;) {
    char text[16];
    dunlin_loop(&mqtt);
    snprintf(text, sizeof text, "%u", count);
    if (dunlin_publish(&mqtt, "board/count", text, 1, false)) count++;
    usleep(500);
  }
}
