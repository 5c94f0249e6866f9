package homeassistant

import "strings"

// Units that several device classes share.
const (
	pressureUnits = "|Pa|mPa|hPa|kPa|bar|cbar|mbar|mmHg|inHg|inH₂O|psi|"
	energyUnits   = "|J|kJ|MJ|GJ|mWh|Wh|kWh|MWh|GWh|TWh|cal|kcal|Mcal|Gcal|"
	volumeUnits   = "|L|mL|gal|fl. oz.|m³|ft³|CCF|MCF|"
	massOfVolume  = "|µg/m³|"
	speedUnits    = "|m/s|km/h|kn|mph|ft/s|in/s|mm/s|m/min|"
	noUnit        = "||"
)

// unitsOf are the units that a sensor or number of a device class may have: Home
// Assistant drops a component that has another. Classes that are not here have any.
var unitsOf = map[string]string{
	"absolute_humidity": "|g/m³|mg/m³|", "apparent_power": "|mVA|VA|kVA|", "aqi": noUnit, "area": "|m²|cm²|km²|mm²|in²|ft²|yd²|mi²|ac|ha|",
	"atmospheric_pressure": pressureUnits, "battery": "|%|", "blood_glucose_concentration": "|mg/dL|mmol/L|", "carbon_dioxide": "|ppm|",
	"carbon_monoxide": "|ppm|mg/m³|", "conductivity": "|S/cm|mS/cm|µS/cm|", "current": "|A|mA|",
	"data_rate": "|bit/s|kbit/s|Mbit/s|Gbit/s|B/s|kB/s|MB/s|GB/s|KiB/s|MiB/s|GiB/s|",
	"data_size": "|bit|kbit|Mbit|Gbit|B|kB|MB|GB|TB|PB|EB|ZB|YB|KiB|MiB|GiB|TiB|PiB|EiB|ZiB|YiB|",
	"distance":  "|km|m|cm|mm|mi|nmi|yd|ft|in|", "duration": "|d|h|min|s|ms|µs|", "energy": energyUnits,
	"energy_distance": "|kWh/100km|Wh/km|mi/kWh|km/kWh|", "energy_storage": energyUnits, "frequency": "|Hz|kHz|MHz|GHz|",
	"gas": "|L|m³|ft³|CCF|MCF|", "humidity": "|%|", "illuminance": "|lx|", "irradiance": "|W/m²|BTU/(h⋅ft²)|", "moisture": "|%|",
	"nitrogen_dioxide": massOfVolume, "nitrogen_monoxide": massOfVolume, "nitrous_oxide": massOfVolume, "ozone": massOfVolume, "ph": noUnit,
	"pm1": massOfVolume, "pm10": massOfVolume, "pm25": massOfVolume, "pm4": massOfVolume, "power": "|mW|W|kW|MW|GW|TW|", "power_factor": "||%|",
	"precipitation": "|mm|cm|in|", "precipitation_intensity": "|mm/h|mm/d|in/h|in/d|", "pressure": pressureUnits, "reactive_energy": "|varh|kvarh|",
	"reactive_power": "|mvar|var|kvar|", "signal_strength": "|dBm|dB|", "sound_pressure": "|dB|dBA|", "speed": speedUnits + "mm/h|mm/d|in/h|in/d|",
	"sulphur_dioxide": massOfVolume, "temperature": "|°C|°F|K|", "temperature_delta": "|°C|°F|K|", "volatile_organic_compounds": "|µg/m³|mg/m³|",
	"volatile_organic_compounds_parts": "|ppm|ppb|", "voltage": "|V|mV|µV|kV|MV|", "volume": volumeUnits,
	"volume_flow_rate": "|L/min|L/h|L/s|mL/s|m³/h|m³/min|m³/s|ft³/min|gal/min|gal/h|gal/d|", "volume_storage": volumeUnits,
	"water": "|L|gal|m³|ft³|CCF|MCF|", "weight": "|kg|g|mg|µg|oz|lb|st|", "wind_direction": "|°|", "wind_speed": speedUnits + "Beaufort|",
}

// Fits reports whether a number of a device class may have the unit, and else
// which it may have. Without a unit all fit: that is a warning to Home Assistant.
func Fits(class, unit string) (ok bool, units []string) {
	list, bound := unitsOf[class]
	// The two letters µ of Unicode are one to Home Assistant.
	if unit == "" || !bound || strings.Contains(list, "|"+strings.ReplaceAll(unit, "μ", "µ")+"|") {
		return true, nil
	}
	return false, strings.FieldsFunc(list, func(r rune) bool { return r == '|' })
}
