package sparkplug

import (
	"context"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// obey carries out commands until the session or ctx ends.
func (n *Node) obey(ctx context.Context, s sensors.Session) error {
	for {
		m, err := s.Next(ctx)
		if err != nil {
			return err
		}
		metrics, err := decodeCommand(m.Payload)
		if err != nil || m.Retain {
			n.opt.Log.Info("Sparkplug command ignored", "topic", m.Topic, "err", err)
			continue
		}
		if name, ok := strings.CutPrefix(m.Topic, n.topic("DCMD", "")+"/"); ok {
			n.device(ctx, s, name, metrics)
			continue
		}
		for _, c := range metrics {
			if isRebirth(c) {
				bctx, cancel := context.WithTimeout(ctx, publishLimit)
				n.lock()
				err := n.births(bctx)
				n.unlock()
				cancel()
				if err != nil {
					return err
				}
				break
			}
		}
	}
}

func isRebirth(c metric) bool {
	return c.name == rebirth && c.value == true
}

// device hands the metrics of a DCMD to the device's own command topics, where
// they are carried out, or refused with a reason, as all commands are.
func (n *Node) device(ctx context.Context, s sensors.Session, name string, metrics []metric) {
	for _, c := range metrics {
		topic, entity := n.find(name, c)
		payload := word(c.value)
		if entity == "" || payload == "" {
			n.opt.Log.Info("Sparkplug command ignored", "topic", n.topic("DCMD", name), "metric", c.name, "alias", c.alias)
			continue
		}
		pctx, cancel := context.WithTimeout(ctx, publishLimit)
		err := s.Publish(pctx, mqtt.Message{Topic: topic + "/" + entity + "/set", Payload: []byte(payload), QoS: mqtt.AtLeastOnce})
		cancel()
		if err != nil {
			n.opt.Log.Warn("not published", "topic", topic, "err", err)
		}
	}
}

// find is the output that a command names, "" for none.
func (n *Node) find(name string, c metric) (topic, entity string) {
	n.lock()
	defer n.unlock()
	d := n.devices[name]
	if d == nil || !d.alive {
		return "", ""
	}
	for _, m := range d.metrics {
		if m.writable && (c.name == m.name || c.name == "" && c.alias == m.alias) {
			return d.topic, m.name
		}
	}
	return "", ""
}

// word is a command's value as a payload, "" for none.
func word(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "ON"
		}
		return "OFF"
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		return v
	}
	return ""
}
