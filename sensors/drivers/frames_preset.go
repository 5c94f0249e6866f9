package drivers

const (
	micrograms  = "µg/m³"
	inDeciliter = "1/dL"
)

// mhz19Reading is the command that an MH-Z19 repeats in its answer.
var mhz19Reading int64 = 0x86

// framePreset is a device whose frames are known.
type framePreset struct {
	name    string
	options framesOptions
	// command and send are its commands: whole frames, checksum included.
	command, send [2]string
}

// framePresets are the devices. Sources: Plantower PMS5003 series data manual
// V2.3, appendix I; Nova Fitness SDS011 control protocol V1.3; Winsen MH-Z19
// user's manual V1.0, chapter 7.
var framePresets = [...]framePreset{
	{
		name: "pms5003",
		options: framesOptions{
			Framing: "length16", Sync: "424d", LengthCounts: "check", CRC: "sum16", CRCOver: "frame", ByteOrder: "big", MaxLength: 26,
			Struct: []frameField{
				{Name: "pm1_0_factory", Type: "u16", Unit: micrograms}, // "CF=1", for factories
				{Name: "pm2_5_factory", Type: "u16", Unit: micrograms},
				{Name: "pm10_factory", Type: "u16", Unit: micrograms},
				{Name: "pm1_0", Type: "u16", Unit: micrograms},
				{Name: "pm2_5", Type: "u16", Unit: micrograms},
				{Name: "pm10", Type: "u16", Unit: micrograms},
				{Name: "particles_0_3um", Type: "u16", Unit: inDeciliter},
				{Name: "particles_0_5um", Type: "u16", Unit: inDeciliter},
				{Name: "particles_1_0um", Type: "u16", Unit: inDeciliter},
				{Name: "particles_2_5um", Type: "u16", Unit: inDeciliter},
				{Name: "particles_5um", Type: "u16", Unit: inDeciliter},
				{Name: "particles_10um", Type: "u16", Unit: inDeciliter},
				{Type: "u8"}, // version
				{Name: "error_code", Type: "u8"},
			},
		},
		command: [2]string{"power"},
		send:    [2]string{"{{424de400010174|424de400000173}}"},
	},
	{
		name: "sds011",
		options: framesOptions{
			Framing: "fixed", Sync: "aac0", Tail: "ab", CRC: "sum8",
			Struct: []frameField{
				{Name: "pm2_5", Type: "u16", Scale: 0.1, Unit: micrograms, high: 999.9},
				{Name: "pm10", Type: "u16", Scale: 0.1, Unit: micrograms, high: 999.9},
				{Type: "u16"}, // device ID
			},
		},
		command: [2]string{"power"},
		send:    [2]string{"aab40601{{01|00}}00000000000000000000ffff{{06|05}}ab"},
	},
	{
		name: "mhz19",
		options: framesOptions{
			Framing: "fixed", Sync: "ff", CRC: "neg_sum8", ByteOrder: "big",
			Struct: []frameField{
				{Type: "u8", Equals: &mhz19Reading},
				{Name: "co2", Type: "u16", Unit: "ppm", low: 1, high: 10000},
				{Type: "u8", Size: 4},
			},
			Poll: framePoll{Send: "01860000000000"},
		},
		command: [2]string{"calibrate_zero", "auto_calibration"},
		send:    [2]string{"ff0187000000000078", "ff0179{{a0|00}}00000000{{e6|86}}"},
	},
}
