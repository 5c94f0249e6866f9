package sensors_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// printer is a broker's session that prints.
type printer struct{ id string }

func (p printer) Publish(_ context.Context, m mqtt.Message) error {
	if m.Topic != "dunlin/shed/cellar/health" {
		fmt.Println(m.Topic, string(m.Payload))
	}
	return nil
}

func (p printer) Subscribe(context.Context, ...mqtt.Subscription) error { return nil }

func (p printer) Next(ctx context.Context) (mqtt.Message, error) {
	<-ctx.Done()
	return mqtt.Message{}, ctx.Err()
}

func (p printer) Abort() error { return nil }

func (p printer) DisconnectWithWill() error {
	fmt.Println(p.id, "ends")
	return nil
}

// thermometer is a driver for a sensor that needs no hardware.
type thermometer struct{}

func (thermometer) Open(context.Context, sensors.Buses) error { return nil }

func (thermometer) Read(context.Context) ([]sensors.Reading, error) {
	return []sensors.Reading{{Entity: "temperature", Value: 21.456, Unit: "°C"}}, nil
}

func (thermometer) Close() error { return nil }

func ExampleManager() {
	spec := sensors.Filters()["round"]
	oneDecimal, err := spec.New(&sensors.CountOptions{Count: 1})
	if err != nil {
		log.Fatal(err)
	}
	m, err := sensors.New(sensors.Options{
		Base:   "dunlin/shed",
		Attach: func(id string, _ *mqtt.Will, _ func()) (sensors.Session, error) { return printer{id}, nil },
		Devices: []sensors.Device{{
			Name: "cellar", Driver: thermometer{}, Interval: time.Minute,
			Entities: []sensors.Entity{{Name: "temperature", Filters: []sensors.Filter{oneDecimal}}},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := m.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// dunlin/shed/cellar/temperature 21.5
	// dunlin/shed/cellar/availability online
	// dev:cellar ends
	// sensors ends
}

func ExamplePipeline() {
	limits, err := sensors.Filters()["range"].New(&sensors.RangeOptions{Min: -40, Max: 85})
	if err != nil {
		log.Fatal(err)
	}
	p, err := sensors.NewPipeline(limits)
	if err != nil {
		log.Fatal(err)
	}
	now := time.Now()
	_, _, err = p.Feed(sensors.Sample{Value: -144.0, At: now}, now)
	fmt.Println(err)
	// Output: out_of_range: -144 is outside -40 to 85
}
