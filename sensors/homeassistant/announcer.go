package homeassistant

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Announcer makes discovery messages of one gateway.
type Announcer struct {
	Node    string // the gateway's name
	Base    string // above its topics; its status is Base/status
	Prefix  string // the discovery prefix, as "homeassistant"
	Version string // of the program
}

// object is a JSON object. Its keys are Home Assistant's; encoding/json sorts
// them, so the same device gives the same bytes.
type object = map[string]any

// Listener is the topic on which Home Assistant says that it is online.
func (a *Announcer) Listener() string { return a.Prefix + "/status" }

// Gateway announces the gateway itself: the others name it as the device that
// they are reached by.
func (a *Announcer) Gateway() mqtt.Message {
	id := a.id()
	doc := a.document(object{"ids": []string{id}, "name": a.Node, "mf": "dunlin", "mdl": "MQTT gateway", "sw": a.Version})
	doc["cmps"] = object{"status": object{
		"p": "binary_sensor", "unique_id": id + ".status", "name": "Status", "device_class": "connectivity", "entity_category": "diagnostic",
		"state_topic": a.Base + "/status", "payload_on": "online", "payload_off": "offline",
	}}
	return mqtt.Message{Topic: a.topic(id), Payload: encode(doc), Properties: &mqtt.Properties{PayloadFormat: 1, HasFormat: true, ContentType: "application/json"}}
}

// Device announces a device. Parts that are gone are named by their platform
// only, which removes them. It fits sensors.Discovery.Describe.
func (a *Announcer) Device(p *sensors.Profile, gone []sensors.Part) (topic string, payload []byte, parts []sensors.Part) {
	id := identifier(a.Node + "_" + p.Device)
	doc := a.document(object{"ids": []string{id}, "name": title(p.Device), "mdl": p.Model, "via_device": a.id()})
	doc["availability"] = []object{{"topic": a.Base + "/status"}, {"topic": p.Topic + "/availability"}}
	doc["availability_mode"] = "all"
	cmps := object{"health": object{
		"p": "sensor", "unique_id": id + ".health", "name": "Reason", "entity_category": "diagnostic",
		"state_topic": p.Topic + "/health", "value_template": "{{ value_json.reason or 'ok' }}", "json_attributes_topic": p.Topic + "/health",
		// Why a device is offline is wanted while it is.
		"availability": []object{{"topic": a.Base + "/status"}},
	}}
	for i := range p.Features {
		f := &p.Features[i]
		c := component(p, f)
		// The point, which no identifier has, keeps flow_temperature of boiler and
		// temperature of boiler_flow apart.
		c["unique_id"], c["name"] = id+"."+f.Name, title(f.Name)
		cmps[f.Name] = c
		parts = append(parts, sensors.Part{Name: f.Name, Platform: c["p"].(string), Listed: f.Listed})
	}
	for _, g := range gone {
		if g.Platform != "" {
			cmps[g.Name] = object{"p": g.Platform}
		}
	}
	doc["cmps"] = cmps
	return a.topic(id), encode(doc), parts
}

// document is what every announcement has.
func (a *Announcer) document(device object) object {
	return object{"dev": device, "o": object{"name": "dunlin", "sw": a.Version}}
}

func (a *Announcer) id() string             { return identifier("dunlin_" + a.Node) }
func (a *Announcer) topic(id string) string { return a.Prefix + "/device/" + id + "/config" }

func encode(doc object) []byte {
	b, err := json.Marshal(doc)
	if err != nil { // strings, numbers and booleans only
		panic("homeassistant: " + err.Error())
	}
	return b
}

// component describes one entity.
func component(p *sensors.Profile, f *sensors.Feature) object {
	platform := "sensor"
	_, isBool := f.Value.(bool)
	_, isText := f.Value.(string)
	number := f.Value != nil && !isBool && !isText
	switch {
	case f.Control != nil:
		platform = f.Control.Platform
	case isBool:
		platform = "binary_sensor"
	case isText && isPosition(f.Value.(string)):
		platform = "device_tracker"
	}
	c := object{"p": platform}
	if f.Control != nil {
		c["command_topic"] = p.Topic + "/" + f.Name + "/set"
		control(c, f.Control)
	}
	switch {
	case platform == "device_tracker":
		tracker(c, p, f)
	case f.Value != nil || platform != "button":
		state(c, p, f, isBool)
	}
	class := f.DeviceClass
	if class == "" && number {
		class = guess(f.Name, f.Unit)
	}
	switch measured := platform == "sensor" && number || platform == "number"; {
	case measured:
		quantity(c, class, f, platform)
	case platform == "sensor" && !in(textClasses, class): // text is no quantity
	case in(classes(platform), class):
		c["device_class"] = class
	}
	switch category := f.Category; {
	case category == "config" && f.Control == nil: // Home Assistant refuses such a sensor
	case category != "":
		c["entity_category"] = category
	case isTally(f.Name):
		c["entity_category"] = "diagnostic"
	}
	// Availability says it first; this is for a gateway that died unseen. The
	// interval is added because a value may be renewed that late.
	if f.Expiry > 0 && (platform == "sensor" || platform == "binary_sensor") {
		c["expire_after"] = int64((f.Expiry + p.Interval + time.Second - 1) / time.Second)
	}
	return c
}

// quantity says what a number measures. A class that does not fit its unit is
// left out: Home Assistant would drop the whole component.
func quantity(c object, class string, f *sensors.Feature, platform string) {
	if ok, _ := Fits(class, f.Unit); !ok || in(textClasses, class) {
		class = ""
	}
	if in(sensorClasses, class) {
		c["device_class"] = class
	}
	if f.Unit != "" {
		c["unit_of_measurement"] = f.Unit
	}
	sc := cmp.Or(f.StateClass, stateClass(class))
	if f.StateClass == "" && isTally(f.Name) {
		sc = "total_increasing"
	}
	if sc == "measurement_angle" && f.Unit != "°" {
		sc = "measurement" // likewise
	}
	if platform == "sensor" && sc != "" {
		c["state_class"] = sc
	}
}

// control says what a command may be.
func control(c object, o *sensors.Control) {
	if o.Platform != "number" {
		return // ON, OFF, PRESS and any text are Home Assistant's own defaults
	}
	c["min"], c["max"], c["step"], c["mode"] = o.Min, o.Max, o.Step, "auto"
	if o.Step < 0.001 || (o.Max-o.Min)/o.Step > 1000 {
		c["mode"] = "box" // no slider
	}
	if o.Step < 0.001 {
		c["step"] = 0.001 // its least
	}
}

// source is the topic that has the value, and the expression of a template that
// finds it there, of what is factor times as much.
func source(p *sensors.Profile, f *sensors.Feature) (topic, value string, factor float64) {
	switch p.Payload {
	case sensors.Plain, sensors.Both:
		return p.Topic + "/" + f.Name, "value", 1
	case sensors.SenML:
		name, field, factor := f.SenML()
		return p.Topic + "/state", fmt.Sprintf("value_json|selectattr('n','eq','%s')|map(attribute='%s')|first", name, field), factor
	}
	key, _ := json.Marshal(f.Name) // a template's string is written as JSON's
	return p.Topic + "/state", fmt.Sprintf("value_json[%s]", key), 1
}

// isPosition recognizes a JSON object with a place on the map.
func isPosition(text string) bool {
	var at struct{ Latitude, Longitude *float64 }
	return strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &at) == nil && at.Latitude != nil && at.Longitude != nil
}

// tracker says where the position is: Home Assistant takes it from attributes.
// One that was withdrawn is an object without any.
func tracker(c object, p *sensors.Profile, f *sensors.Feature) {
	topic, value, _ := source(p, f)
	c["json_attributes_topic"], c["source_type"] = topic, "gps"
	c["json_attributes_template"] = "{{ " + value + "|default('{}', true) }}"
}

// state says where the value is.
func state(c object, p *sensors.Profile, f *sensors.Feature, isBool bool) {
	topic, value, factor := source(p, f)
	c["state_topic"] = topic
	if value == "value" {
		return
	}
	// What the document leaves out is unknown to Home Assistant, not off.
	switch value += "|default(none)"; {
	case isBool:
		value = "{% set v = " + value + " %}{{ 'None' if v is none else 'ON' if v else 'OFF' }}"
	case factor != 1:
		value = fmt.Sprintf("{%% set v = %s %%}{{ 'None' if v is none else v / %v }}", value, factor)
	default:
		value = "{{ " + value + " }}"
	}
	c["value_template"] = value
}

// title is a name as people read it.
func title(name string) string {
	name = strings.ReplaceAll(name, "_", " ")
	if name != "" && name[0] >= 'a' && name[0] <= 'z' {
		return string(name[0]-'a'+'A') + name[1:]
	}
	return name
}

// identifier is a name in the letters that a discovery topic may have. Where
// that loses some, a hash keeps two names apart.
func identifier(name string) string {
	lost := false
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		lost = true
		return '_'
	}, name)
	if !lost {
		return id
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("%s_%08x", id, h.Sum32())
}
