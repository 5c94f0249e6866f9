// Package homeassistant describes devices to Home Assistant: one retained
// discovery message a device, with all its components, as its documentation of
// MQTT device discovery says (home-assistant.io/integrations/mqtt).
//
// It is a core: a profile goes in, a message comes out. sensors publishes it,
// remembers on disk what was announced, and takes it back.
//
// It refuses to name a device class that Home Assistant does not have on that
// platform, since Home Assistant then drops the whole component.
package homeassistant
