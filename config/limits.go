package config

import "time"

// Limits bound what clients may take.
type Limits struct {
	Connections       int           `yaml:"connections" min:"1" max:"1000000" doc:"clients at once"`
	PacketSize        Size          `yaml:"packet_size" min:"128B" max:"256MiB" doc:"largest MQTT packet accepted" ex:"256KiB"`
	ReceiveMaximum    int           `yaml:"receive_maximum" min:"1" max:"65535" doc:"unacknowledged QoS 1 and 2 messages of a client; towards it, its own if smaller"`
	TopicAliasMaximum int           `yaml:"topic_alias_maximum" min:"0" max:"65535" doc:"topic aliases of a client"`
	KeepAliveMax      time.Duration `yaml:"keep_alive_max" min:"1s" max:"65535s" doc:"longest keep alive" ex:"1h"`
	SessionExpiryMax  time.Duration `yaml:"session_expiry_max" also:"never" doc:"longest time that an offline session is kept, or never" ex:"7d"`
	QueueMessages     int           `yaml:"queue_messages" min:"0" doc:"messages kept for a session, waiting and in flight; 0 is receive_maximum"`
	QueueSize         Size          `yaml:"queue_size" doc:"bytes kept for a session; 0 is packet_size; at most 1 GiB on 32-bit boards" ex:"1MiB"`
	RetainedMessages  int           `yaml:"retained_messages" min:"0" doc:"retained messages in all; who has more than a quarter of what is retained gets none of the last eighth, unless nobody else has any"`
	RetainedSize      Size          `yaml:"retained_size" doc:"bytes of retained messages in all, shared alike" ex:"4MiB"`
	Subscriptions     int           `yaml:"subscriptions" min:"1" doc:"subscriptions of a session"`
	TopicLevels       int           `yaml:"topic_levels" min:"1" max:"65535" doc:"levels of a topic"`
	TopicLength       int           `yaml:"topic_length" min:"1" max:"65535" doc:"bytes of a topic"`
	Sessions          int           `yaml:"sessions" min:"1" doc:"sessions that outlive their connections; one user has at most seven eighths of them"`
	KeepAliveFactor   float64       `yaml:"keep_alive_factor" min:"1" max:"10" doc:"silence of so many keep alive intervals ends a connection; the standard says 1.5"`
	MessageRate       Rate          `yaml:"message_rate" doc:"messages that a client may publish; it is read no faster; 0/s is no limit" ex:"100/s"`
	ByteRate          ByteRate      `yaml:"byte_rate" doc:"bytes that a client may publish; it is read no faster; 0B/s is no limit" ex:"32KiB/s"`
	ConnectRate       Rate          `yaml:"connect_rate" doc:"connections from one address, of which 10 s may come at once; 0/s is no limit; unless it is set, loopback addresses have none" ex:"20/s"`
	Flapping          Rate          `yaml:"flapping" doc:"connections of one client identifier that end badly; one with more is banned for as long; 0/min is never" ex:"15/min"`
}

func (m *Limits) setDefaults() {
	*m = Limits{
		Connections: 1000, PacketSize: 256 << 10, ReceiveMaximum: 20, TopicAliasMaximum: 10,
		KeepAliveMax: time.Hour, SessionExpiryMax: 7 * 24 * time.Hour,
		QueueMessages: 1000, QueueSize: 1 << 20, RetainedMessages: 20000, RetainedSize: 4 << 20,
		Subscriptions: 500, TopicLevels: 16, TopicLength: 1024,
		MessageRate: Rate{0, time.Second}, ConnectRate: Rate{20, time.Second},
		Sessions: 5000, KeepAliveFactor: 1.5, ByteRate: ByteRate{0, time.Second}, Flapping: Rate{0, time.Minute},
	}
}

func (m *Limits) check(l *loader, path string) {
	if m.QueueSize > 0 && m.QueueSize < m.PacketSize {
		p := join(path, "queue_size")
		if !l.cfg.IsSet(p) {
			p = join(path, "packet_size")
		}
		l.failIf("is smaller than packet_size: the largest message would never fit", p, "", "queue_size %s")
	}
}
