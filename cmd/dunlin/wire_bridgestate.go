package main

import (
	"context"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// bridgeState tells on $SYS/broker/connection/{client id upstream}/state
// whether a bridge is connected, 1 or 0, where mosquitto tells it of its own.
// It returns what hears of the bridge's changes before next does.
func bridgeState(local *broker.Client, clientID string, next func(bridge.Event)) func(bridge.Event) {
	topic := "$SYS/broker/connection/" + broker.TopicLevel(clientID) + "/state"
	tell := func(state string) {
		m := mqtt.Message{Topic: topic, Payload: []byte(state), Retain: true}
		local.Publish(context.Background(), m) // waits for nothing: $SYS is not recorded; fails only when all ends
	}
	tell("0")
	return func(e bridge.Event) {
		switch e.Kind {
		case bridge.EventUp:
			tell("1")
		case bridge.EventDown:
			tell("0")
		}
		if next != nil {
			next(e)
		}
	}
}
