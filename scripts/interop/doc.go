// Package interop holds no code of the product: its tests start the real
// dunlin and drive it with the MQTT clients of the Eclipse Paho project, in
// 3.1 and 3.1.1 (paho.mqtt.golang) and 5.0 (paho.golang). What they find is a
// disagreement between two readings of the standard, which tests that use our
// own codec on both sides cannot find.
//
// It is a module of its own, so that clients the product does not need stay
// out of its go.mod. It imports nothing of the product either; the program is
// built once and each test starts its own on a free port of the loopback
// interface, stops it with SIGTERM and wants exit code 0.
//
// Nothing sleeps: that a message does not come is seen by one sent later that
// does (see peer.nothing), and every wait has a deadline.
package interop
