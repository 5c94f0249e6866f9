package mqtt

// Version is the Protocol Version byte of CONNECT [MQTT-3.1.2-2].
type Version byte

// The protocol versions that dunlin speaks.
const (
	V31  Version = 3 // MQTT 3.1, protocol name "MQIsdp"
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

// String returns the version as people write it: "3.1", "3.1.1", "5".
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5"
	}
	return "unknown"
}
