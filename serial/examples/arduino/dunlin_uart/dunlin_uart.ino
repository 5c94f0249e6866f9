// A board without a network as an MQTT client: it publishes an analog input
// every ten seconds, switches its LED as it is told, and has a will.
//
// On the gateway:
//   mqtt:
//     listeners:
//       - {bind: "serial:/dev/serial/by-id/usb-Arduino...", baud: 115200, anonymous: true}

#include "dunlin_uart.h"

struct dunlin mqtt;

static int lineRead() { return Serial.read(); }
static void lineWrite(uint8_t b) { Serial.write(b); }
static uint32_t lineClock() { return millis(); }

static void onMessage(const char *topic, const uint8_t *payload, uint16_t n) {
  if (strcmp(topic, "uno/led/set") != 0) return;
  bool on = n == 2 && memcmp(payload, "ON", 2) == 0;
  digitalWrite(LED_BUILTIN, on);
  dunlin_publish(&mqtt, "uno/led", on ? "ON" : "OFF", 0, true);
}

void setup() {
  pinMode(LED_BUILTIN, OUTPUT);
  Serial.begin(115200);
  mqtt.read = lineRead;
  mqtt.write = lineWrite;
  mqtt.now = lineClock;
  mqtt.id = "uno";
  mqtt.will_topic = "uno/status";
  mqtt.will_message = "offline";
  mqtt.filter = "uno/+/set";
  mqtt.keep_alive = 20;
  mqtt.message = onMessage;
}

void loop() {
  static uint32_t last;
  static bool told;
  dunlin_loop(&mqtt);
  if (!mqtt.online) told = false;
  if (mqtt.online && !told) told = dunlin_publish(&mqtt, "uno/status", "online", 0, true);
  if (millis() - last >= 10000) {
    char text[8];
    itoa(analogRead(A0), text, 10);
    if (dunlin_publish(&mqtt, "uno/light", text, 1, true)) last = millis();
  }
}
