/* MQTT 3.1.1 over a UART: frames of COBS with CRC-16, as ../../../FRAMES.md
 * says. Plain C without allocation; one message of QoS 1 is in flight at a
 * time, and is sent again after every reconnect until it is acknowledged. A
 * message that is larger than the buffer is acknowledged and passed over.
 *
 * Fill in struct dunlin, call dunlin_loop() as often as possible.
 */
#ifndef DUNLIN_UART_H
#define DUNLIN_UART_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef DUNLIN_BUFFER
#define DUNLIN_BUFFER 128 /* longest packet either way, in bytes */
#endif

struct dunlin {
  /* The line and the clock: read returns -1 when nothing has arrived. */
  int (*read)(void);
  void (*write)(uint8_t b);
  uint32_t (*now)(void); /* milliseconds, may wrap around */

  const char *id;
  const char *user, *password;            /* NULL: none */
  const char *will_topic, *will_message;  /* NULL: no will; it is retained */
  const char *filter;                     /* what to subscribe to, NULL: nothing */
  uint16_t keep_alive;                    /* seconds, 0: none */
  void (*message)(const char *topic, const uint8_t *payload, uint16_t n);

  /* The rest is dunlin's own; zero at the start. */
  uint8_t in[DUNLIN_BUFFER + 2], out[DUNLIN_BUFFER], flight[DUNLIN_BUFFER];
  uint16_t in_len, out_len, flight_len, packet_id;
  uint8_t block, code;      /* of COBS: bytes left in the block, and its length */
  uint16_t crc;             /* of what of the frame has arrived; 0 at its end is right */
  bool broken;              /* the frame on its way is too long */
  bool online, waiting;     /* CONNACK came; an answer is owed since asked */
  uint32_t sent, asked;
};

static uint16_t dunlin_crc(uint16_t crc, uint8_t b) {
  crc ^= (uint16_t)b << 8;
  for (uint8_t i = 0; i < 8; i++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
}

/* dunlin_frame writes one packet as a frame. */
static void dunlin_frame(struct dunlin *d, const uint8_t *packet, uint16_t n) {
  uint16_t crc = 0xFFFF, start = 0;
  for (uint16_t i = 0; i < n; i++) crc = dunlin_crc(crc, packet[i]);
  uint8_t tail[2] = {(uint8_t)(crc >> 8), (uint8_t)crc};
  d->write(0); /* a frame that was cut off ends here */
  for (uint16_t i = 0; i <= n + 2; i++) {
    /* A block ends before a zero, at the end, and after 254 bytes. */
    bool full = i - start == 254, zero = i == n + 2 || (i < n ? packet[i] : tail[i - n]) == 0;
    if (!full && !zero) continue;
    d->write((uint8_t)(i - start + 1));
    for (uint16_t j = start; j < i; j++) d->write(j < n ? packet[j] : tail[j - n]);
    if (full && zero) d->write(1);
    start = zero ? i + 1 : i;
  }
  d->write(0);
  d->sent = d->now();
}

static void dunlin_byte(struct dunlin *d, uint8_t b) {
  if (d->out_len < DUNLIN_BUFFER) d->out[d->out_len] = b;
  d->out_len++;
}

static void dunlin_short(struct dunlin *d, uint16_t v) {
  dunlin_byte(d, v >> 8);
  dunlin_byte(d, v & 0xFF);
}

static void dunlin_text(struct dunlin *d, const char *s) {
  dunlin_short(d, (uint16_t)strlen(s));
  while (*s) dunlin_byte(d, (uint8_t)*s++);
}

/* dunlin_begin starts a packet in out; its length is one or two bytes. */
static void dunlin_begin(struct dunlin *d, uint8_t type) {
  d->out_len = 0;
  dunlin_byte(d, type);
  dunlin_short(d, 0);
}

/* dunlin_end fills in the length; false: the packet does not fit. */
static bool dunlin_end(struct dunlin *d) {
  uint16_t n = d->out_len - 3;
  if (d->out_len > DUNLIN_BUFFER) return false;
  d->out[1] = (n & 0x7F) | 0x80; /* two bytes are always allowed */
  d->out[2] = n >> 7;
  return true;
}

static void dunlin_connect(struct dunlin *d) {
  uint8_t flags = 0; /* Clean Session 0: the session stays */
  if (d->will_topic) flags |= 0x2C; /* will, QoS 1, retained */
  if (d->user) flags |= 0x80;
  if (d->password) flags |= 0x40;
  dunlin_begin(d, 0x10);
  dunlin_text(d, "MQTT");
  dunlin_byte(d, 4);
  dunlin_byte(d, flags);
  dunlin_short(d, d->keep_alive);
  dunlin_text(d, d->id);
  if (d->will_topic) {
    dunlin_text(d, d->will_topic);
    dunlin_text(d, d->will_message);
  }
  if (d->user) dunlin_text(d, d->user);
  if (d->password) dunlin_text(d, d->password);
  d->online = false;
  d->waiting = true;
  d->asked = d->now();
  if (dunlin_end(d)) dunlin_frame(d, d->out, d->out_len);
}

/* dunlin_publish sends a message; false: there is no connection, the last one
 * of QoS 1 is not acknowledged yet, or it does not fit. */
static bool dunlin_publish(struct dunlin *d, const char *topic, const char *payload, uint8_t qos, bool retain) {
  if (!d->online || (qos && d->flight_len)) return false;
  dunlin_begin(d, 0x30 | qos << 1 | (retain ? 1 : 0));
  dunlin_text(d, topic);
  if (qos) {
    if (++d->packet_id == 0) d->packet_id = 1;
    dunlin_short(d, d->packet_id);
  }
  while (*payload) dunlin_byte(d, (uint8_t)*payload++);
  if (!dunlin_end(d)) return false;
  if (qos) memcpy(d->flight, d->out, d->flight_len = d->out_len);
  dunlin_frame(d, d->out, d->out_len);
  return true;
}

static void dunlin_subscribe(struct dunlin *d) {
  dunlin_begin(d, 0x82);
  dunlin_short(d, 0xFFFF); /* no message has this number for long */
  dunlin_text(d, d->filter);
  dunlin_byte(d, 1);
  if (dunlin_end(d)) dunlin_frame(d, d->out, d->out_len);
}

static void dunlin_packet(struct dunlin *d, uint8_t *p, uint16_t n) {
  uint8_t type = p[0] >> 4, head = 2;
  if (n > 2 && p[1] & 0x80) head = 3;
  if (!d->online && type != 2) return; /* of an earlier connection */
  switch (type) {
    case 2: /* CONNACK */
      if (n < 4 || p[3] != 0) return; /* refused: asked again later */
      d->online = true;
      d->waiting = false;
      if (d->filter) dunlin_subscribe(d);
      if (d->flight_len) {
        d->flight[0] |= 0x08; /* DUP */
        dunlin_frame(d, d->flight, d->flight_len);
      }
      break;
    case 3: { /* PUBLISH */
      uint32_t topic, at;
      uint8_t ack[4] = {0x40, 2, 0, 0}, qos = p[0] & 0x06;
      if (n < head + 2) return;
      topic = p[head] << 8 | p[head + 1];
      at = head + 2 + topic;
      if (at + (qos ? 2 : 0) > n) return;
      if (qos) {
        memcpy(ack + 2, p + at, 2);
        at += 2;
      }
      memmove(p + head + 1, p + head + 2, topic); /* room for the end of the text */
      p[head + 1 + topic] = 0;
      if (d->message) d->message((char *)p + head + 1, p + at, (uint16_t)(n - at));
      if (qos) dunlin_frame(d, ack, 4);
      break;
    }
    case 4: /* PUBACK */
      if (n >= 4 && (uint16_t)(p[2] << 8 | p[3]) == d->packet_id) d->flight_len = 0;
      break;
    case 13: /* PINGRESP */
      d->waiting = false;
      break;
  }
}

/* dunlin_whole: the length of the packet is n. A delimiter that is damaged may
 * make the packet longer by a byte, and the checksum does not show it. */
static bool dunlin_whole(const uint8_t *p, uint16_t n) {
  if (!(p[1] & 0x80)) return n == 2 + p[1];
  return n > 2 && !(p[2] & 0x80) && n == 3 + ((p[1] & 0x7F) | (uint16_t)p[2] << 7);
}

/* dunlin_skip acknowledges a message that is too large, of which the beginning
 * is there: it would come again after every reconnect. */
static void dunlin_skip(struct dunlin *d, const uint8_t *p) {
  uint8_t ack[4] = {0x40, 2, 0, 0}, head = 2;
  uint32_t at;
  while (head < 5 && p[head - 1] & 0x80) head++;
  at = head + 2 + ((uint32_t)p[head] << 8 | p[head + 1]);
  if (p[0] >> 4 != 3 || !(p[0] & 0x06) || at + 2 > sizeof d->in) return;
  memcpy(ack + 2, p + at, 2);
  dunlin_frame(d, ack, 4);
}

static void dunlin_keep(struct dunlin *d, uint8_t b) {
  d->crc = dunlin_crc(d->crc, b);
  if (d->in_len < sizeof d->in) d->in[d->in_len++] = b;
  else d->broken = true;
}

/* dunlin_received takes one byte of the line. */
static void dunlin_received(struct dunlin *d, uint8_t b) {
  if (b != 0) {
    if (d->block == 0) { /* b is the length of the next block */
      if (!d->code) d->crc = 0xFFFF;
      else if (d->code != 0xFF) dunlin_keep(d, 0);
      d->code = b;
      d->block = b - 1;
      return;
    }
    d->block--;
    dunlin_keep(d, b);
    return;
  }
  bool good = d->block == 0 && d->crc == 0, large = d->broken, empty = !d->code;
  uint16_t n = d->in_len;
  d->in_len = d->block = d->code = 0;
  d->broken = false;
  if (empty) return;
  if (good && large && d->online) dunlin_skip(d, d->in);
  else if (good && n >= 4 && dunlin_whole(d->in, n - 2)) dunlin_packet(d, d->in, n - 2);
  else if (d->online) dunlin_connect(d); /* damaged, or there is no connection */
}

/* dunlin_loop reads what has arrived and keeps the connection. */
static void dunlin_loop(struct dunlin *d) {
  int b;
  while ((b = d->read()) >= 0) dunlin_received(d, (uint8_t)b);
  if (!d->waiting && !d->online) {
    dunlin_connect(d);
  } else if (d->waiting && d->now() - d->asked > 3000) {
    dunlin_connect(d); /* no answer */
  } else if (d->online && d->keep_alive && !d->waiting && d->now() - d->sent > (uint32_t)d->keep_alive * 500) {
    uint8_t ping[2] = {0xC0, 0};
    d->waiting = true;
    d->asked = d->now();
    dunlin_frame(d, ping, 2);
  }
}

#endif
