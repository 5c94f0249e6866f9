package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

// mqttFlags are the flags that sub and pub share: mosquitto's letters with
// mosquitto's meaning.
type mqttFlags struct {
	fs *flags.Set

	host, unix, url, bind string
	port                  int
	user, password        string
	id, idPrefix          string
	keepAlive             int
	persistent            bool
	version               string
	expiry                string
	qos                   int
	topics                []string
	properties            propertyFlag
	tls                   client.TLSOptions
	systemCAs             bool
	will                  willFlags
	debug, quiet          bool

	urlTopic string // from -L
	service  string // socket of the service on this machine
}

type willFlags struct {
	topic, payload string
	qos            int
	retain         bool
}

func (m *mqttFlags) register(fs *flags.Set) {
	m.fs, m.service = fs, serviceMQTT
	fs.StringVarP(&m.host, "host", "h", "localhost", "`HOST` to connect to")
	fs.IntVarP(&m.port, "port", "p", 0, "`PORT` (default 1883, with TLS 8883)")
	fs.StringVar(&m.unix, "unix", "", "connect to the Unix socket `PATH` instead")
	fs.StringVarP(&m.url, "url", "L", "", "`URL`: mqtt[s]://[user[:password]@]host[:port][/topic], or unix:///path")
	fs.StringVarP(&m.user, "username", "u", "", "user `NAME`")
	fs.StringVarP(&m.password, "pw", "P", "", "`PASSWORD`")
	fs.StringVarP(&m.id, "id", "i", "", "Client Identifier `ID` (default: the server chooses)")
	fs.StringVarP(&m.idPrefix, "id-prefix", "I", "", "Client Identifier is `PREFIX` and the process id")
	fs.IntVarP(&m.qos, "qos", "q", m.qos, "Quality of Service `N`: 0, 1 or 2")
	fs.IntVarP(&m.keepAlive, "keepalive", "k", 60, "Keep Alive in `SECONDS`, 5 to 65535")
	fs.BoolVarP(&m.persistent, "disable-clean-session", "c", false, "keep the session on the server (needs -i)")
	fs.StringVarP(&m.expiry, "session-expiry", "x", "", "Session Expiry Interval in `SECONDS`, -1 for never (MQTT 5)")
	fs.StringVarP(&m.version, "protocol-version", "V", "311", "`VERSION` 31, 311 or 5; also mqttv31, mqttv311, mqttv5")
	fs.VarP(&m.properties, "property", "D", "property: `PACKET NAME VALUE`; selects MQTT 5")
	fs.StringVarP(&m.bind, "bind-address", "A", "", "local `ADDRESS` to connect from")
	fs.Bool("nodelay", true, "send without delay; always on")
	fs.StringVar(&m.tls.CAFile, "cafile", "", "`FILE` of trusted certificate authorities; turns TLS on")
	fs.StringVar(&m.tls.CAPath, "capath", "", "`DIRECTORY` of such files")
	fs.StringVar(&m.tls.CertFile, "cert", "", "client certificate `FILE`, with --key")
	fs.StringVar(&m.tls.KeyFile, "key", "", "`FILE` of its private key")
	fs.StringVar(&m.tls.Version, "tls-version", "", "`VERSION` tlsv1.3, tlsv1.2 or tlsv1.1")
	fs.StringVar(&m.tls.ALPN, "tls-alpn", "", "`PROTOCOL` to name in the TLS handshake")
	fs.BoolVar(&m.tls.Insecure, "insecure", false, "do not check that the certificate names the host")
	fs.BoolVar(&m.systemCAs, "tls-use-os-certs", false, "TLS with the system's authorities")
	fs.StringVar(&m.will.topic, "will-topic", "", "`TOPIC` of the Will Message")
	fs.StringVar(&m.will.payload, "will-payload", "", "its `PAYLOAD`")
	fs.IntVar(&m.will.qos, "will-qos", 0, "its `QOS`")
	fs.BoolVar(&m.will.retain, "will-retain", false, "make it retained")
	fs.BoolVarP(&m.debug, "debug", "d", false, "show the packets")
	fs.BoolVar(&m.quiet, "quiet", false, "no error messages")
}

// options checks the flags and turns them into connection options.
func (m *mqttFlags) options() (client.Options, error) {
	var o client.Options
	for _, check := range []func(*client.Options) error{m.setTarget, m.setVersion, m.setIdentity, m.setWill, m.setExpiry} {
		if err := check(&o); err != nil {
			return o, err
		}
	}
	if m.keepAlive < 5 || m.keepAlive > math.MaxUint16 {
		return o, fmt.Errorf("keep alive %d: must be 5 to 65535 seconds", m.keepAlive)
	}
	o.KeepAlive = uint16(m.keepAlive)
	if m.qos < 0 || m.qos > 2 {
		return o, fmt.Errorf("QoS %d: must be 0, 1 or 2", m.qos)
	}
	return o, nil
}

// serviceMQTT is where the service on this machine listens if its
// configuration has a listener "unix:/run/dunlin/mqtt.sock".
const serviceMQTT = "/run/dunlin/mqtt.sock"

// usable says that one may connect to a Unix socket. None can be opened, but
// Linux looks at the rights first.
func usable(socket string) bool {
	f, err := os.OpenFile(socket, os.O_WRONLY, 0)
	if err == nil {
		f.Close()
	}
	return errors.Is(err, syscall.ENXIO)
}

// setTarget finds the server: -L, --unix or -h, then $DUNLIN_URL, then
// the service's socket, then localhost. Single flags override parts of a URL.
func (m *mqttFlags) setTarget(o *client.Options) error {
	given := m.fs.Changed
	u := client.URL{Scheme: "mqtt", Host: m.host}
	source := m.url
	if env := os.Getenv("DUNLIN_URL"); source == "" && env != "" && !given("host") && !given("unix") {
		source = env
	}
	if source != "" {
		var err error
		if u, err = client.ParseURL(source); err != nil {
			return err
		}
		if given("host") {
			u.Host = m.host
		}
		m.urlTopic = u.Topic
		o.Username, o.Password = u.Username, u.Password
	}
	if m.unix == "" && source == "" && !given("host") && !given("port") && !m.secure() && usable(m.service) {
		m.unix = m.service
	}
	if m.unix != "" {
		u = client.URL{Scheme: "unix", Host: m.unix}
	}
	if u.Scheme == "unix" {
		o.Target = client.Target{Network: "unix", Address: u.Host}
		return nil
	}
	return m.setAddress(o, u)
}

func (m *mqttFlags) setAddress(o *client.Options, u client.URL) error {
	if m.fs.Changed("port") {
		if m.port < 1 || m.port > math.MaxUint16 {
			return fmt.Errorf("port %d: must be 1 to 65535", m.port)
		}
		u.Port = m.port
	}
	secure := u.Scheme == "mqtts" || u.Port == 8883 || m.secure()
	if u.Port == 0 {
		u.Port = 1883
		if secure {
			u.Port = 8883
		}
	}
	o.Target = client.Target{Network: "tcp", Address: net.JoinHostPort(u.Host, strconv.Itoa(u.Port)), Bind: m.bind}
	if !secure {
		return nil
	}
	var err error
	o.Target.TLS, err = m.tls.Config(u.Host)
	return err
}

// secure says that a flag asks for TLS.
func (m *mqttFlags) secure() bool {
	return m.systemCAs || m.tls.CAFile != "" || m.tls.CAPath != "" || m.tls.CertFile != ""
}

func (m *mqttFlags) setVersion(o *client.Options) error {
	switch strings.TrimPrefix(strings.ReplaceAll(m.version, ".", ""), "mqttv") {
	case "31":
		o.Version = mqtt.V31
	case "311":
		o.Version = mqtt.V311
	case "5", "50":
		o.Version = mqtt.V5
	default:
		return fmt.Errorf("protocol version %q: use 31, 311 or 5", m.version)
	}
	if m.properties.given {
		o.Version = mqtt.V5
	}
	o.Properties = m.properties.sets.Connect
	return nil
}

func (m *mqttFlags) setIdentity(o *client.Options) error {
	if m.id != "" && m.idPrefix != "" {
		return errors.New("-i and -I cannot be used together")
	}
	o.ClientID = m.id
	if m.idPrefix != "" {
		o.ClientID = m.idPrefix + strconv.Itoa(os.Getpid())
	}
	o.CleanStart = !m.persistent
	if m.persistent && m.id == "" && (o.Version != mqtt.V5 || m.expiry == "") {
		return errors.New("-c needs a Client Identifier: add -i NAME")
	}
	if m.fs.Changed("username") {
		o.Username = &m.user
	}
	if m.fs.Changed("pw") {
		o.Password = &m.password
	}
	if o.Password != nil && o.Username == nil && o.Version != mqtt.V5 {
		return errors.New("-P needs -u before MQTT 5")
	}
	return nil
}

func (m *mqttFlags) setWill(o *client.Options) error {
	w := m.will
	if w.topic == "" {
		if w.payload != "" || w.retain || w.qos != 0 {
			return errors.New("a will needs --will-topic")
		}
		return nil
	}
	if err := topic.ValidName(w.topic); err != nil {
		return fmt.Errorf("will topic %q: %w", w.topic, err)
	}
	if w.qos < 0 || w.qos > 2 {
		return fmt.Errorf("will QoS %d: must be 0, 1 or 2", w.qos)
	}
	o.Will = &client.Will{
		Topic: w.topic, Payload: []byte(w.payload), QoS: mqtt.QoS(w.qos), Retain: w.retain,
		Properties: m.properties.sets.Will,
	}
	return nil
}

// setExpiry carries -x; with -c alone a 5.0 session never expires, as with
// mosquitto's clients.
func (m *mqttFlags) setExpiry(o *client.Options) error {
	expiry := m.expiry
	if expiry == "" && m.persistent {
		expiry = "-1"
	}
	if expiry == "" || o.Version != mqtt.V5 {
		return nil
	}
	n := int64(-1)
	if expiry != "∞" {
		var err error
		if n, err = strconv.ParseInt(expiry, 0, 64); err != nil || n < -1 || n > math.MaxUint32 {
			return fmt.Errorf("session expiry %q: must be 0 to 4294967295 seconds, or -1", expiry)
		}
	}
	if n == -1 {
		n = math.MaxUint32
	}
	if n == math.MaxUint32 && m.id == "" {
		return errors.New("a session that never expires needs a Client Identifier: add -i NAME")
	}
	if n > 0 {
		o.Properties.Has |= packet.HasSessionExpiry
		o.Properties.SessionExpiry = uint32(n)
	}
	return nil
}
