// Package interop holds no code of the product: its tests start the real
// dunlin and drive it with MQTT clients of others, in 3.1, 3.1.1 and 5.0, over
// TCP, TLS and WebSocket. What they find is a disagreement between two readings
// of the standard, which tests that use our own codec on both sides cannot find.
//
// Clients in Go (paho.mqtt.golang, paho.golang) are part of this module; make
// interop adds paho-mqtt for Python and MQTT.js, which driver.py and driver.js
// drive (remote_test.go), and the command-line clients of mosquitto
// (mosquitto_test.go), and prints a matrix of who gets along in what (matrix/).
//
// It is a module of its own, so that clients the product does not need stay
// out of its go.mod. It imports nothing of the product either; the program is
// built once and each test starts its own on a free port of the loopback
// interface, stops it with SIGTERM and wants exit code 0.
//
// Nothing sleeps: that a message does not come is seen by one sent later that
// does (see peer.nothing), and every wait has a deadline.
package interop
