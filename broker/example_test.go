package broker_test

import (
	"context"
	"fmt"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A server on a loopback port with a client in the same process: what the
// client publishes reaches the network, and the other way round.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	ln, err := broker.Listen("127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	b, err := broker.New(broker.Options{Listeners: []broker.ListenerOptions{{Name: "local", Listener: ln}}})
	if err != nil {
		panic(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()

	c, err := b.Attach(broker.ClientOptions{ID: "thermometer"})
	if err != nil {
		panic(err)
	}
	if err := c.Subscribe(ctx, mqtt.Subscription{Filter: "room/+"}); err != nil {
		panic(err)
	}
	if err := c.Publish(ctx, mqtt.Message{Topic: "room/1", Payload: []byte("21.5"), QoS: mqtt.AtLeastOnce, Retain: true}); err != nil {
		panic(err)
	}
	m, err := c.Next(ctx)
	fmt.Println(m.Topic, string(m.Payload), err)

	c.Close()
	stop()
	fmt.Println(<-ended)
	// Output:
	// room/1 21.5 <nil>
	// <nil>
}
