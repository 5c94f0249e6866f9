package conn

import (
	"errors"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Redirect is an end that tells the client which server to use instead: 0x9C
// or 0x9D with a Server Reference (4.11).
type Redirect struct {
	Err       *mqtt.Error
	Reference string // host:port, or what else clients understand
}

func (r *Redirect) Error() string { return r.Err.Error() }

// Unwrap returns the reason.
func (r *Redirect) Unwrap() error { return r.Err }

// lastPacket words the end for the client: CONNACK before the connection is
// accepted, DISCONNECT after it, nothing if the client left or the version has
// no words for it. The caller holds w.
func (c *Conn) lastPacket(err error, open bool) []byte {
	var e *mqtt.Error
	if !errors.As(err, &e) {
		return nil
	}
	v := packet.View{Type: packet.DISCONNECT, Reason: e.Code}
	if !open {
		v.Type = packet.CONNACK
	}
	switch {
	case c.request == nil:
		if e.Code != mqtt.UnsupportedProtocolVersion {
			return nil
		}
		return packet.Append(nil, mqtt.V311, &v)
	case c.request.Version != mqtt.V5:
		if open || !hasReturnCode(e.Code) {
			return nil
		}
		return packet.Append(nil, c.request.Version, &v)
	case !open && (e.Code == mqtt.SessionTakenOver || e.Code == mqtt.ServerShuttingDown):
		v.Reason = mqtt.ServerUnavailable // those two are for DISCONNECT only
	case open && (e.Code == mqtt.BadUserNameOrPassword || e.Code == mqtt.ClientIdentifierNotValid || e.Code == mqtt.Banned):
		v.Reason = mqtt.NotAuthorized // of a re-authentication: those are for CONNACK only [MQTT-3.14.2-1]
	}
	var to *Redirect
	if errors.As(err, &to) && to.Reference != "" {
		v.Properties.Has |= packet.HasServerReference
		v.Properties.ServerReference = []byte(to.Reference)
	}
	if c.request.RequestProblem {
		v.Properties.Has |= packet.HasReasonString
		v.Properties.ReasonString = []byte(e.Msg)
	}
	return c.short(&v)
}

// short encodes a last packet within the client's Maximum Packet Size, without
// its properties if need be [MQTT-3.14.2-3], [MQTT-3.2.2-19]; nil if it does
// not fit at all [MQTT-3.1.2-24].
func (c *Conn) short(v *packet.View) []byte {
	limit := int(c.request.MaximumPacketSize)
	for _, drop := range []packet.Has{0, packet.HasReasonString, packet.HasServerReference} {
		v.Properties.Has &^= drop
		if b := packet.Append(nil, mqtt.V5, v); limit == 0 || len(b) <= limit {
			return b
		}
	}
	return nil
}

// hasReturnCode reports whether CONNACK of 3.1 and 3.1.1 says this: a CONNECT
// that breaks the standard is not answered at all [MQTT311-3.1.4-1].
func hasReturnCode(code mqtt.ReasonCode) bool {
	switch code {
	case mqtt.UnsupportedProtocolVersion, mqtt.ClientIdentifierNotValid, mqtt.ServerUnavailable, mqtt.ServerBusy,
		mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.Banned, mqtt.BadAuthenticationMethod, mqtt.QuotaExceeded,
		mqtt.ConnectionRateExceeded, mqtt.UseAnotherServer, mqtt.ServerMoved, mqtt.QoSNotSupported, mqtt.RetainNotSupported:
		return true
	}
	return false
}
