package homeassistant

import "strings"

// Device classes by platform, as of Home Assistant 2025.
const (
	sensorClasses = " absolute_humidity apparent_power aqi area atmospheric_pressure battery blood_glucose_concentration carbon_dioxide " +
		"carbon_monoxide conductivity current data_rate data_size date distance duration energy energy_distance energy_storage enum frequency " +
		"gas humidity illuminance irradiance moisture monetary nitrogen_dioxide nitrogen_monoxide nitrous_oxide ozone ph pm1 pm10 pm25 pm4 " +
		"power power_factor precipitation precipitation_intensity pressure reactive_energy reactive_power signal_strength sound_pressure " +
		"speed sulphur_dioxide temperature temperature_delta timestamp volatile_organic_compounds volatile_organic_compounds_parts voltage volume " +
		"volume_flow_rate volume_storage water weight wind_direction wind_speed "
	binaryClasses = " battery battery_charging carbon_monoxide cold connectivity door garage_door gas heat light lock moisture motion moving " +
		"occupancy opening plug power presence problem running safety smoke sound tamper update vibration window "
	switchClasses = " outlet switch "
	textClasses   = " date enum timestamp " // of the sensors' those that are no numbers
	buttonClasses = " identify restart update "
)

// KnownClass reports whether any platform has the device class.
func KnownClass(class string) bool {
	return in(sensorClasses, class) || in(binaryClasses, class) || in(switchClasses, class) || in(buttonClasses, class)
}

func in(list, word string) bool { return word != "" && strings.Contains(list, " "+word+" ") }

// classes are those of a platform; number has the sensors'.
func classes(platform string) string {
	switch platform {
	case "sensor", "number":
		return sensorClasses
	case "binary_sensor":
		return binaryClasses
	case "switch":
		return switchClasses
	case "button":
		return buttonClasses
	}
	return ""
}

// classOfUnit are the device classes that a unit leaves no doubt about.
var classOfUnit = map[string]string{
	"°C": "temperature", "°F": "temperature", "K": "temperature", "Pa": "pressure", "hPa": "pressure", "kPa": "pressure", "bar": "pressure",
	"mbar": "pressure", "V": "voltage", "mV": "voltage", "A": "current", "mA": "current", "W": "power", "kW": "power", "VA": "apparent_power",
	"var": "reactive_power", "Wh": "energy", "kWh": "energy", "lx": "illuminance", "Hz": "frequency", "kHz": "frequency", "MHz": "frequency",
	"L/min": "volume_flow_rate", "m³/h": "volume_flow_rate", "dBm": "signal_strength", "kg": "weight", "B": "data_size", "KiB": "data_size",
	"MiB": "data_size", "GiB": "data_size", "kB": "data_size", "MB": "data_size", "GB": "data_size", "W/m²": "irradiance",
}

// classOfName are the device classes of units that have several, by what the
// entity's name holds.
var classOfName = [...]struct{ unit, name, class string }{
	{"%", "humidity", "humidity"}, {"%", "battery", "battery"}, {"%", "moisture", "moisture"}, {"%", "soil", "moisture"},
	{"ppm", "co2", "carbon_dioxide"}, {"µg/m³", "pm2", "pm25"}, {"µg/m³", "pm10", "pm10"}, {"µg/m³", "pm1", "pm1"},
}

// guess is the device class of a number whose configuration names none.
func guess(name, unit string) string {
	for _, c := range classOfName {
		if c.unit == unit && strings.Contains(name, c.name) {
			return c.class
		}
	}
	return classOfUnit[unit]
}

// isTally reports whether an entity counts what a device or its driver has lost.
func isTally(name string) bool {
	return strings.HasPrefix(name, "lost_") || strings.HasPrefix(name, "rejected_")
}

// stateClass is the state class of a number whose configuration names none:
// meters count up, and what is no measurement has none.
func stateClass(class string) string {
	switch class {
	case "energy", "gas", "water", "volume", "monetary":
		return "total"
	case "wind_direction":
		return "measurement_angle"
	}
	return "measurement"
}
