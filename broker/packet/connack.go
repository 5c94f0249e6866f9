package packet

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

func (p *View) decodeConnack(d *decoder, v mqtt.Version) {
	flags := d.byte("Connect Acknowledge Flags")
	if v == mqtt.V31 {
		flags = 0 // unused there
	}
	if flags > 1 {
		d.malformed("MQTT-3.2.2-1", "reserved Connect Acknowledge Flags are set")
	}
	p.SessionPresent = flags&1 != 0
	code := d.byte("Connect Reason Code")
	if v == mqtt.V5 {
		p.Reason = mqtt.ReasonCode(code)
		d.reason(CONNACK, p.Reason)
	} else {
		p.Reason = fromReturnCode(d, code)
	}
	if p.SessionPresent && p.Reason != mqtt.Success {
		d.protocol("MQTT-3.2.2-6", "Session Present with a failure")
	}
	if v == mqtt.V5 {
		d.properties(&p.Properties, connackProperties, false)
	}
}

func (p *View) appendConnack(dst []byte, v mqtt.Version) []byte {
	var flags byte
	if p.SessionPresent && p.Reason == mqtt.Success && v != mqtt.V31 {
		flags = 1
	}
	code := byte(p.Reason)
	if v != mqtt.V5 {
		code = toReturnCode(p.Reason)
	}
	return p.appendProperties(append(dst, flags, code), v)
}

// The CONNACK return codes of 3.1 and 3.1.1, table 3.1 of 3.1.1.
const (
	returnAccepted = iota
	returnUnacceptableVersion
	returnIdentifierRejected
	returnServerUnavailable
	returnBadCredentials
	returnNotAuthorized
)

func fromReturnCode(d *decoder, code byte) mqtt.ReasonCode {
	switch code {
	case returnAccepted:
		return mqtt.Success
	case returnUnacceptableVersion:
		return mqtt.UnsupportedProtocolVersion
	case returnIdentifierRejected:
		return mqtt.ClientIdentifierNotValid
	case returnServerUnavailable:
		return mqtt.ServerUnavailable
	case returnBadCredentials:
		return mqtt.BadUserNameOrPassword
	case returnNotAuthorized:
		return mqtt.NotAuthorized
	}
	d.protocol("MQTT311-3.2.2.3", "reserved Connect Return code")
	return mqtt.UnspecifiedError
}

// toReturnCode gives a failure the return code that makes a 3.x client do the
// right thing: "not authorized" where trying again does not help, "server
// unavailable" where it may.
func toReturnCode(r mqtt.ReasonCode) byte {
	switch r {
	case mqtt.Success:
		return returnAccepted
	case mqtt.UnsupportedProtocolVersion:
		return returnUnacceptableVersion
	case mqtt.ClientIdentifierNotValid:
		return returnIdentifierRejected
	case mqtt.BadUserNameOrPassword:
		return returnBadCredentials
	case mqtt.NotAuthorized, mqtt.Banned, mqtt.BadAuthenticationMethod, mqtt.TopicNameInvalid,
		mqtt.PayloadFormatInvalid, mqtt.RetainNotSupported, mqtt.QoSNotSupported,
		mqtt.PacketTooLarge, mqtt.MalformedPacket, mqtt.ProtocolError:
		return returnNotAuthorized
	}
	return returnServerUnavailable
}
