package homeassistant_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/homeassistant"
)

var barn = &homeassistant.Announcer{Node: "barn-1", Base: "dunlin/barn-1", Prefix: "homeassistant", Version: "1.2.3"}

// profile has one entity of each kind.
func profile(device string, payload sensors.Payload) *sensors.Profile {
	features := []sensors.Feature{
		{Name: "temperature", Unit: "°C", Value: 21.5},
		{Name: "humidity", Unit: "%", Value: int64(40)},
		{Name: "energy", Unit: "kWh", Value: 1.5, DeviceClass: "energy", StateClass: "total_increasing", Listed: true},
		{Name: "meter", Unit: "Wh", Value: int64(3), Category: "config"}, // which sensors cannot have
		{Name: "plain", Value: 3.5},
		{Name: "furlongs", Unit: "furlong", Value: 3.5},
		{Name: "door", Value: true, DeviceClass: "door", Category: "diagnostic"},
		{Name: "odd", Value: true, DeviceClass: "temperature"}, // no class of its platform
		{Name: "text", Value: "hello", Unit: "°C"},
		{Name: "position", Value: `{"latitude":48.1173,"longitude":11.5166667,"altitude":545.4}`, Expiry: time.Minute},
		{Name: "nowhere", Value: `{"latitude":48.1173}`},
		{Name: "heure d'été \"x\"", Value: 1.0},
		{Name: "lost_events", Value: int64(3)},
		{Name: "relay", Value: false, Control: &sensors.Control{Platform: "switch"}},
		{Name: "setpoint", Unit: "Hz", Value: 12.5, Category: "config", Control: &sensors.Control{Platform: "number", Min: 0, Max: 50, Step: 0.1}},
		{Name: "any", Value: int64(1), Control: &sensors.Control{Platform: "number", Min: -1e9, Max: 1e9}},
		{Name: "message", Value: "", Control: &sensors.Control{Platform: "text"}},
		{Name: "tare", Control: &sensors.Control{Platform: "button"}},
	}
	for i := range features {
		features[i].Expiry = 90*time.Second + 1
	}
	return &sensors.Profile{Device: device, Model: "bme280", Topic: "dunlin/barn-1/" + device, Payload: payload, Interval: 30 * time.Second, Features: features}
}

func decode(t *testing.T, payload []byte) (doc struct {
	Dev  map[string]any            `json:"dev"`
	Cmps map[string]map[string]any `json:"cmps"`
}) {
	t.Helper()
	if err := json.Unmarshal(payload, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestAnnouncementsFollowTheSchema(t *testing.T) {
	s := loadSchema(t)
	topics := regexp.MustCompile(`^homeassistant/device/[a-zA-Z0-9_-]+/config$`)
	for _, payload := range []sensors.Payload{sensors.Plain, sensors.JSON, sensors.Both, sensors.SenML} {
		gone := []sensors.Part{{Name: "old", Platform: "binary_sensor"}, {Name: "never announced"}}
		topic, doc, parts := barn.Device(profile("climate", payload), gone)
		for _, bad := range s.validate(doc) {
			t.Errorf("%s: %s", payload, bad)
		}
		if !topics.MatchString(topic) || len(parts) != 18 {
			t.Errorf("%s with %v", topic, parts)
		}
	}
	g := barn.Gateway()
	for _, bad := range s.validate(g.Payload) {
		t.Error(bad)
	}
	if !topics.MatchString(g.Topic) {
		t.Error(g.Topic)
	}
}

func TestComponents(t *testing.T) {
	_, payload, parts := barn.Device(profile("climate", sensors.Plain), []sensors.Part{{Name: "old", Platform: "switch"}})
	doc := decode(t, payload)
	for at, want := range map[string]any{
		"temperature.p": "sensor", "temperature.device_class": "temperature", "temperature.unit_of_measurement": "°C", "temperature.state_class": "measurement",
		"temperature.state_topic": "dunlin/barn-1/climate/temperature", "temperature.expire_after": 121.0, "temperature.unique_id": "barn-1_climate.temperature",
		"temperature.command_topic": nil, "temperature.value_template": nil, "temperature.name": "Temperature",
		"humidity.device_class": "humidity", "energy.state_class": "total_increasing", "meter.state_class": "total", "plain.device_class": nil, "plain.state_class": "measurement",
		"door.p": "binary_sensor", "door.device_class": "door", "door.state_class": nil, "odd.device_class": nil, "text.unit_of_measurement": nil, "text.state_class": nil,
		"position.p": "device_tracker", "position.json_attributes_topic": "dunlin/barn-1/climate/position", "position.source_type": "gps", "position.state_topic": nil,
		"position.expire_after": nil, "nowhere.p": "sensor", "relay.p": "switch", "relay.command_topic": "dunlin/barn-1/climate/relay/set", "relay.state_topic": "dunlin/barn-1/climate/relay", "relay.expire_after": nil,
		"setpoint.p": "number", "setpoint.min": 0.0, "setpoint.max": 50.0, "setpoint.step": 0.1, "setpoint.device_class": "frequency", "any.mode": "box",
		"message.p": "text", "tare.p": "button", "tare.state_topic": nil, "lost_events.entity_category": "diagnostic", "lost_events.state_class": "total_increasing", "temperature.entity_category": nil,
		"meter.entity_category": nil, "door.entity_category": "diagnostic", "setpoint.entity_category": "config",
		"old.p": "switch", "old.unique_id": nil, "health.state_topic": "dunlin/barn-1/climate/health",
	} {
		var name, key string
		if _, err := fmt.Sscanf(regexp.MustCompile(`\.`).ReplaceAllString(at, " "), "%s %s", &name, &key); err != nil {
			t.Fatal(err)
		}
		if got := doc.Cmps[name][key]; got != want {
			t.Errorf("%s is %v, want %v", at, got, want)
		}
	}
	if i := slices.Index(parts, sensors.Part{Name: "energy", Platform: "sensor", Listed: true}); i < 0 {
		t.Errorf("parts: %v", parts)
	}
	if slices.ContainsFunc(parts, func(p sensors.Part) bool { return p.Name == "old" }) {
		t.Error("a part that is gone is still a part")
	}
	if doc.Dev["via_device"] != "dunlin_barn-1" {
		t.Errorf("via_device %v", doc.Dev["via_device"])
	}
}

// The reason must be seen while the device is offline: it does not depend on
// the device's availability.
func TestReasonIsAvailableWhileTheDeviceIsNot(t *testing.T) {
	_, payload, _ := barn.Device(profile("climate", sensors.Plain), nil)
	health := decode(t, payload).Cmps["health"]
	if got := fmt.Sprint(health["availability"]); got != "[map[topic:dunlin/barn-1/status]]" {
		t.Errorf("availability of the reason: %s", got)
	}
}

// Home Assistant drops a component whose unit is none of its device class.
func TestClassesFitTheirUnits(t *testing.T) {
	s := loadSchema(t)
	sensor, number := (*sensors.Control)(nil), &sensors.Control{Platform: "number", Min: 0, Max: 1, Step: 1}
	for _, tc := range []struct {
		class, unit, state string
		value              any
		control            *sensors.Control
		want, wantState    any
	}{
		{"volume_flow_rate", "l/min", "", 1.0, sensor, nil, "measurement"},
		{"volume_flow_rate", "L/min", "", 1.0, sensor, "volume_flow_rate", "measurement"},
		{"volume_flow_rate", "l/min", "", 1.0, number, nil, nil},
		{"volume_flow_rate", "l/min", "", nil, number, nil, nil},
		{"temperature", "V", "", 1.0, sensor, nil, "measurement"},
		{"energy", "kW", "total_increasing", 1.0, sensor, nil, "total_increasing"},
		{"energy", "kW", "", 1.0, sensor, nil, "measurement"},
		{"power_factor", "%", "", 1.0, sensor, "power_factor", "measurement"},
		{"power_factor", "", "", 1.0, sensor, "power_factor", "measurement"},
		{"aqi", "ppm", "", 1.0, sensor, nil, "measurement"},
		{"pm4", "µg/m³", "", 1.0, sensor, "pm4", "measurement"},
		{"temperature_delta", "K", "", 1.0, sensor, "temperature_delta", "measurement"},
		{"weight", "\u03bcg", "", 1.0, sensor, "weight", "measurement"}, // of the two µ the one of Greek
		{"weight", "\u00b5g", "", 1.0, sensor, "weight", "measurement"},
		{"volume", "fl. oz.", "", 1.0, sensor, "volume", "total"},
		{"monetary", "EUR", "", 1.0, sensor, "monetary", "total"}, // any unit
		{"wind_direction", "°", "", 1.0, sensor, "wind_direction", "measurement_angle"},
		{"wind_direction", "", "", 1.0, sensor, "wind_direction", "measurement"},
		{"", "rad", "measurement_angle", 1.0, sensor, nil, "measurement"},
		{"timestamp", "", "", int64(1), sensor, nil, "measurement"},
		{"timestamp", "", "", "2026-11-22T23:00:00Z", sensor, "timestamp", nil},
		{"temperature", "°C", "", "warm", sensor, nil, nil},
		{"enum", "", "measurement", "warm", sensor, "enum", nil},
		{"date", "", "", 1.0, number, nil, nil},
	} {
		f := sensors.Feature{Name: "x", DeviceClass: tc.class, Unit: tc.unit, StateClass: tc.state, Value: tc.value, Control: tc.control}
		_, payload, _ := barn.Device(&sensors.Profile{Device: "d", Model: "m", Topic: "t/d", Features: []sensors.Feature{f}}, nil)
		c := decode(t, payload).Cmps["x"]
		if c["device_class"] != tc.want || c["state_class"] != tc.wantState {
			t.Errorf("%+v: class %v, state class %v", tc, c["device_class"], c["state_class"])
		}
		if tc.unit == "°" || tc.unit == "" || tc.want == nil || tc.class == "weight" { // the schema wants a unit, and has one µ
			continue
		}
		for _, bad := range s.validate(payload) {
			t.Errorf("%+v: %s", tc, bad)
		}
	}
}

// Two entities never share a unique id, whatever they and their devices are
// called: Home Assistant would take the first only.
func TestUniqueIDs(t *testing.T) {
	ids := map[any]string{}
	for _, name := range []string{"boiler/flow_temperature", "boiler_flow/temperature", "boiler.flow/temperature", "boiler/flow.temperature", "boiler_flow_temperature/x"} {
		device, entity, _ := strings.Cut(name, "/")
		p := &sensors.Profile{Device: device, Model: "m", Topic: "t", Features: []sensors.Feature{{Name: entity, Value: 1.0}}}
		_, payload, _ := barn.Device(p, nil)
		id := decode(t, payload).Cmps[entity]["unique_id"]
		if other, taken := ids[id]; taken {
			t.Errorf("%s and %s are %v", name, other, id)
		}
		ids[id] = name
	}
}

// Two devices never share a topic or a unique id, whatever their names are.
func TestIdentifiersAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a b", "a_b", "a.b", "über", "_ber", "ö", "ü", "日本", "日木"} {
		topic, payload, _ := barn.Device(profile(name, sensors.Plain), nil)
		id := fmt.Sprint(decode(t, payload).Cmps["door"]["unique_id"])
		for _, key := range []string{topic, id} {
			if other, taken := seen[key]; taken {
				t.Errorf("%q and %q share %s", name, other, key)
			}
			seen[key] = name
		}
	}
}

// The same device is the same bytes: nothing is published anew for nothing.
func TestAnnouncementIsStable(t *testing.T) {
	_, first, _ := barn.Device(profile("climate", sensors.JSON), nil)
	for range 20 {
		if _, again, _ := barn.Device(profile("climate", sensors.JSON), nil); string(again) != string(first) {
			t.Fatalf("%s\nthen %s", first, again)
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, tc := range []struct {
		payload    sensors.Payload
		name, want string
	}{
		{sensors.JSON, "temperature", `{{ value_json["temperature"]|default(none) }}`},
		{sensors.JSON, "door", `{% set v = value_json["door"]|default(none) %}{{ 'None' if v is none else 'ON' if v else 'OFF' }}`},
		{sensors.JSON, `heure d'été "x"`, `{{ value_json["heure d'été \"x\""]|default(none) }}`},
		{sensors.SenML, "temperature", `{{ value_json|selectattr('n','eq','temperature')|map(attribute='v')|first|default(none) }}`},
		{sensors.SenML, "text", `{{ value_json|selectattr('n','eq','text')|map(attribute='vs')|first|default(none) }}`},
		{sensors.SenML, "energy", `{% set v = value_json|selectattr('n','eq','energy')|map(attribute='v')|first|default(none) %}{{ 'None' if v is none else v / 3.6e+06 }}`},
		{sensors.Plain, "position", `{{ value|default('{}', true) }}`},
		{sensors.JSON, "position", `{{ value_json["position"]|default('{}', true) }}`},
		{sensors.SenML, "position", `{{ value_json|selectattr('n','eq','position')|map(attribute='vs')|first|default('{}', true) }}`},
	} {
		_, payload, _ := barn.Device(profile("climate", tc.payload), nil)
		key := "value_template"
		if tc.name == "position" {
			key = "json_attributes_template"
		}
		if got := decode(t, payload).Cmps[tc.name][key]; got != tc.want {
			t.Errorf("%s of %s: %v\nwant %s", tc.name, tc.payload, got, tc.want)
		}
	}
}
