package scan

// probe is how a chip is known: by what it answers at certain addresses. Asks
// are the bytes to send and what must come back, both in hexadecimal: "d0:60"
// is 60 from register D0; "." is any digit, "!" two bytes and their checksum,
// as Sensirion's chips send them, "~" the seven bytes of an AHT20.
type probe struct {
	low, high uint16
	asks      []string
	driver    string
	what      string
}

// probes are tried in order. Where they send more than the number of a
// register, it is a command that measures and changes nothing, and no other
// chip in use at the address takes it for an order: the data sheets are those
// that the drivers name.
var probes = []probe{
	{0x10, 0x10, []string{"07:81.."}, "veml7700", "VEML7700"},
	{0x18, 0x1F, []string{"06:0054", "07:04.."}, "mcp9808", "MCP9808"},
	{0x38, 0x38, []string{":~"}, "aht20", "AHT20"},
	// 0xFE resets other chips at 0x40: the configuration is looked at first.
	{0x40, 0x4F, []string{"00:4...", "fe:5449", "ff:226."}, "ina226", "INA226"},
	{0x40, 0x4F, []string{"00:399f", "05:0000"}, "ina219", "INA219"},
	{0x40, 0x4F, []string{"00:3...", "05:1000"}, "ina219", "INA219"}, // as our driver leaves it
	{0x44, 0x45, []string{"f32d:!"}, "sht3x", "SHT3x"},
	{0x44, 0x46, []string{"89:!!"}, "sht4x", "SHT4x"},
	{0x48, 0x4B, []string{"02:8000", "03:7fff"}, "ads1115", "ADS1115 (or ADS1015: then driver ads1015)"},
	{0x48, 0x4B, []string{"02:8000", "03:7fe0"}, "ads1115", "ADS1115 (or ADS1015: then driver ads1015)"},
	{0x48, 0x4B, []string{"01:60.0", "02:4b00", "03:5000"}, "tmp102", "TMP102"},
	{0x48, 0x4B, []string{"01:60.0", "02:7800", "03:7d00"}, "tmp102", "TMP102"},
	{0x48, 0x4F, []string{"02:4b00", "03:5000"}, "lm75", "LM75 or compatible (TMP105: driver tmp105)"},
	{0x48, 0x4F, []string{"02:7800", "03:7d00"}, "lm75", "LM75 or compatible (TMP105: driver tmp105)"},
	{0x62, 0x62, []string{"e4b8:!"}, "scd4x", "SCD40 or SCD41"},
	{0x76, 0x77, []string{"d0:60"}, "bme280", "BME280"},
	{0x76, 0x77, []string{"d0:58"}, "bmp280", "BMP280"},
	{0x76, 0x77, []string{"d0:56"}, "bmp280", "BMP280 (sample)"},
	{0x76, 0x77, []string{"d0:57"}, "bmp280", "BMP280 (sample)"},
	{0x76, 0x77, []string{"d0:61"}, "", "BME680: no driver"},
	{0x76, 0x77, []string{"0d:10"}, "", "DPS310: driver iio reads it, with bind"},
	{0x76, 0x77, []string{"d0:d0"}, "", "TCA9548A multiplexer"}, // what is written is read back
}

// usual is what chips that say nothing of themselves are most often. To these
// addresses nothing is sent.
var usual = []struct {
	low, high    uint16
	driver, what string
}{
	{0x23, 0x23, "bh1750", "BH1750 or an I/O expander?"},
	{0x20, 0x27, "", "I/O expander? the kernel makes GPIO lines of it"},
	{0x38, 0x38, "aht20", "AHT20 or an I/O expander?"},
	{0x39, 0x3B, "", "I/O expander? the kernel makes GPIO lines of it"},
	{0x3C, 0x3D, "", "display?"},
	{0x50, 0x57, "", "memory?"},
	{0x5C, 0x5C, "bh1750", "BH1750?"},
	{0x68, 0x68, "", "clock or motion sensor?"},
	{0x70, 0x75, "", "multiplexer?"},
}
