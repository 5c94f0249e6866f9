// Package sparkplug speaks for devices as a Sparkplug B 3.0 Edge Node: births,
// data, deaths, commands (sparkplug.eclipse.org/specification).
//
// The gateway is the Edge Node, each device a Sparkplug Device, each entity a
// metric with an alias. The node has a session of its own in the broker, whose
// will is the NDEATH; devices report what happens to them to it, and it keeps
// what a rebirth needs: the newest value of each metric.
//
//	owner -> Node.Born, Changed, Died -> payload -> Session.Publish
//	Session.Next -> NCMD: rebirth; DCMD: publish on the entity's command topic
//
// It refuses to send data of a device that was not born in the running session,
// and to write metrics that take no commands. It reads of payloads only what
// commands have; Templates and DataSets are passed over.
//
// One lock, a channel with one slot, is held while a message is made and
// published, since sequence numbers must arrive in order.
package sparkplug
