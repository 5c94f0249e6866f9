// What a sketch finds on a board, as far as the Arduino example needs it, for a
// test that compiles it. The cores of some boards declare clock() too.
#include <ctime>
#include <cstdint>

#define OUTPUT 1
#define LED_BUILTIN 13
#define A0 0

struct {
  void begin(long);
  int read();
  unsigned long write(uint8_t);
} Serial;
void pinMode(int, int);
void digitalWrite(int, bool);
int analogRead(int);
unsigned long millis();
char *itoa(int, char *, int);

#include "../../arduino/dunlin_uart/dunlin_uart.ino"
