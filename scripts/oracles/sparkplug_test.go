//go:build oracle

package oracles

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/scripts/oracles/sparkplugpb"
	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug/sparkplugtest"
)

// decodePB reads a payload with the code that protoc generated; what that does
// not know is an error.
func decodePB(b []byte) (out sparkplugtest.Payload, err error) {
	p := &sparkplugpb.Payload{}
	if err := proto.Unmarshal(b, p); err != nil {
		return out, err
	}
	if again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(p); err != nil || len(again) != len(b) {
		return out, fmt.Errorf("%d bytes, %d when written again, %v", len(b), len(again), err)
	}
	out.Timestamp, out.Seq = p.Timestamp, p.Seq
	for _, m := range p.Metrics {
		if len(m.ProtoReflect().GetUnknown()) > 0 {
			return out, fmt.Errorf("metric with unknown fields: %v", m)
		}
		o := sparkplugtest.Metric{Name: m.Name, Alias: m.Alias, Timestamp: m.Timestamp, Null: m.GetIsNull(), Historical: m.GetIsHistorical(), Properties: map[string]any{}}
		if m.Datatype != nil {
			kind := uint64(*m.Datatype)
			o.Datatype = &kind
		}
		switch v := m.Value.(type) {
		case *sparkplugpb.Metric_LongValue:
			o.Value = int64(v.LongValue)
		case *sparkplugpb.Metric_DoubleValue:
			o.Value = v.DoubleValue
		case *sparkplugpb.Metric_BooleanValue:
			o.Value = v.BooleanValue
		case *sparkplugpb.Metric_StringValue:
			o.Value = v.StringValue
		case nil:
		default:
			return out, fmt.Errorf("value is a %T", v)
		}
		set := m.GetProperties()
		if len(set.GetKeys()) != len(set.GetValues()) {
			return out, fmt.Errorf("%d keys, %d values", len(set.GetKeys()), len(set.GetValues()))
		}
		for i, key := range set.GetKeys() {
			switch v := set.Values[i].Value.(type) {
			case *sparkplugpb.PropertyValue_IntValue:
				o.Properties[key] = uint64(v.IntValue)
			case *sparkplugpb.PropertyValue_StringValue:
				o.Properties[key] = v.StringValue
			default:
				return out, fmt.Errorf("property %s is a %T", key, v)
			}
		}
		out.Metrics = append(out.Metrics, o)
	}
	return out, nil
}

// hostSession hands everything that is published to a host.
type hostSession struct {
	host  *sparkplugtest.Host
	will  mqtt.Message
	inbox chan mqtt.Message
}

func (s *hostSession) Publish(_ context.Context, m mqtt.Message) error {
	s.host.Take(m)
	return nil
}
func (s *hostSession) Subscribe(context.Context, ...mqtt.Subscription) error { return nil }
func (s *hostSession) Next(ctx context.Context) (mqtt.Message, error) {
	select {
	case m := <-s.inbox:
		return m, nil
	case <-ctx.Done():
		return mqtt.Message{}, ctx.Err()
	}
}
func (s *hostSession) Abort() error              { return nil }
func (s *hostSession) DisconnectWithWill() error { return s.Publish(nil, s.will) }

// A node's whole life, read by what protoc generated: every value arrives as
// it was, and the commands that it writes are understood.
func TestSparkplug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &sparkplugtest.Host{Prefix: "spBv1.0/plant/", Node: "barn", Decode: decodePB}
		s := &hostSession{host: h, inbox: make(chan mqtt.Message, 1)}
		n := sparkplug.New(sparkplug.Options{Group: "plant", Node: "barn", AtOnce: true, Log: slog.New(slog.DiscardHandler),
			Attach: func(_ string, w *mqtt.Will) (sensors.Session, error) {
				s.will, h.Will = w.Message, w.Message.Payload
				return s, nil
			}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- n.Run(ctx) }()
		synctest.Wait()
		r := rand.New(rand.NewPCG(1, 2))
		values := []any{0.0, -0.5, 1e300, math.Inf(-1), int64(0), int64(-1), int64(math.MaxInt64), int64(math.MinInt64), true, false, "", "ü\x00\"", nil}
		n.Born(ctx, &sensors.Profile{Device: "d", Features: []sensors.Feature{{Name: "first", Value: 1.0, Unit: "°C", At: time.Now()}}})
		for i := range 1000 {
			name, v := fmt.Sprint("m", i%len(values)), values[i%len(values)]
			if f, ok := v.(float64); ok && !math.IsInf(f, 0) {
				v = r.NormFloat64() * f
			}
			n.Changed(ctx, "d", []sensors.Feature{{Name: name, Value: v, At: time.Now(), Unit: "m³/h"}})
			if got := h.Devices["d"][name]; got != v {
				t.Fatalf("%v of type %T arrives as %v", v, v, got)
			}
		}
		name := "Node Control/Rebirth"
		alias, yes := (*uint64)(nil), true
		command, err := proto.Marshal(&sparkplugpb.Payload{Timestamp: proto.Uint64(1), Metrics: []*sparkplugpb.Metric{
			{Name: &name, Alias: alias, Datatype: proto.Uint32(11), Value: &sparkplugpb.Metric_BooleanValue{BooleanValue: yes}}}})
		if err != nil {
			t.Fatal(err)
		}
		s.inbox <- mqtt.Message{Topic: "spBv1.0/plant/NCMD/barn", Payload: command}
		synctest.Wait()
		if h.Births != 2 || len(h.Devices["d"]) != len(values)+1 {
			t.Errorf("after a rebirth: %d births, %v", h.Births, h.Devices)
		}
		n.Died(ctx, "d")
		cancel()
		if err := <-done; err != nil || h.Online {
			t.Errorf("%v, online %v", err, h.Online)
		}
		for _, fault := range h.Faults {
			t.Error(fault)
		}
	})
}
