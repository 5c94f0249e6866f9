package mosquittoconf

import (
	"math"
	"net"
	"strconv"
	"strings"
)

// userSettings are global unless per_listener_settings is true.
var userSettings = map[string]bool{"allow_anonymous": true, "password_file": true, "acl_file": true}

const (
	byService = "the systemd unit of 'dunlin service' does that"
	noPSK     = "there are no pre-shared keys: use certificates, or passwords over TLS"
	noPlugin  = "there are no plugins: users, tokens, certificates and rules are built in"
	always    = "it is always so"
	noNeed    = "what is acknowledged is on the disk by store.durability, not now and then"
)

var globalSettings = []setting{
	{name: "per_listener_settings", key: "per_listener_settings"},
	{name: "allow_anonymous", key: "anonymous"},
	{name: "password_file", key: "users_file"},
	{name: "acl_file", key: "acl_file"},
	{name: "max_keepalive", key: "keep_alive_max", number: &whole{"s", 1, 65535}},
	{name: "max_packet_size", key: "packet_size", number: &whole{"B", 128, 256 << 20}},
	{name: "message_size_limit", key: "packet_size", number: &whole{"B", 128, 256 << 20}},
	{name: "max_inflight_messages", key: "receive_maximum", number: &whole{"", 1, 65535}},
	{name: "max_queued_messages", key: "queue_messages", number: &whole{"", 1, math.MaxInt32}},
	{name: "max_queued_bytes", key: "queue_size", number: &whole{"B", 1, 1 << 30}},
	{name: "sys_interval", key: "sys_interval", number: &whole{"s", 0, 86400}},
	{name: "persistent_client_expiration", read: expiration},
	{name: "retain_available", key: "retain"},
	{name: "log_type", read: logType},
	{name: "persistence", why: noNeed},
	{name: "persistence_file", why: noNeed},
	{name: "persistence_location", why: "data_dir is dunlin's own folder; mosquitto.db is not read"},
	{name: "autosave_interval", why: noNeed},
	{name: "autosave_on_changes", why: noNeed},
	{name: "pid_file", why: byService},
	{name: "user", why: byService},
	{name: "log_dest", why: "logs go to the journal, or to standard error"},
	{name: "log_facility", why: "logs go to the journal, or to standard error"},
	{name: "log_timestamp", why: always},
	{name: "log_timestamp_format", why: "times are RFC 3339"},
	{name: "connection_messages", why: always},
	{name: "set_tcp_nodelay", why: always},
	{name: "queue_qos0_messages", why: "QoS 0 is not queued"},
	{name: "upgrade_outgoing_qos", why: "a message keeps the lower QoS, as the standard asks"},
	{name: "allow_duplicate_messages", why: "mqtt.overlap: each sends a message once for each subscription"},
	{name: "clientid_prefixes", why: "write rules with {client} under auth.rules"},
	{name: "auto_id_prefix", why: "assigned Client Identifiers have a form of their own"},
	{name: "max_inflight_bytes", why: "bounded by mqtt.limits.receive_maximum and packet_size"},
	{name: "memory_limit", why: "memory.limit is that of the whole process: the default follows the control group"},
	{name: "retain_expiry_interval", why: "messages expire by their Message Expiry Interval"},
	{name: "check_retain_source", why: "a retained message stays when its publisher loses its right: 'dunlin topics clear' removes it"},
	{name: "include_dir", why: "there is no *.conf in that folder"},
	{name: "global_max_clients", why: "mqtt.limits.sessions is how many are kept"},
	{name: "global_max_connections", why: "mqtt.limits.connections is how many may be there at once"},
	{name: "psk_file", why: noPSK},
	{name: "plugin", why: noPlugin},
	{name: "auth_plugin", why: noPlugin},
	{name: "global_plugin", why: noPlugin},
}

var listenerSettings = []setting{
	{name: "listener", read: newListener},
	{name: "port", read: newListener},
	{name: "bind_address", why: "write it into bind of the listener"},
	{name: "bind_interface", why: "write the interface's address into bind of the listener"},
	{name: "socket_domain", why: "a bind without a host is IPv4 and IPv6"},
	{name: "protocol", read: protocol},
	{name: "allow_anonymous", key: "anonymous"},
	{name: "password_file", key: "users_file"},
	{name: "acl_file", key: "acl_file"},
	{name: "cafile", key: "ca"},
	{name: "capath", why: "join the files of the folder into one, and name it under tls.ca"},
	{name: "certfile", key: "cert"},
	{name: "keyfile", key: "key"},
	{name: "crlfile", key: "crl"},
	{name: "require_certificate", key: "require"},
	{name: "use_identity_as_username", read: identity},
	{name: "use_subject_as_username", read: identity},
	{name: "mount_point", key: "topic_prefix"},
	{name: "max_connections", key: "connections", number: &whole{"", 1, 1_000_000}},
	{name: "max_topic_alias", key: "topic_alias_maximum", number: &whole{"", 0, 65535}},
	{name: "max_topic_alias_broker", why: "dunlin's own topic aliases follow the client's limit"},
	{name: "max_qos", key: "max_qos", number: &whole{"", 0, 2}},
	{name: "maximum_qos", key: "max_qos", number: &whole{"", 0, 2}},
	{name: "tls_version", why: "TLS 1.2 and 1.3 are spoken"},
	{name: "ciphers", why: "the secure ones of Go are used"},
	{name: "ciphers_tls1.3", why: "the secure ones of Go are used"},
	{name: "dhparamfile", why: "only key exchange over elliptic curves is used"},
	{name: "use_username_as_clientid", why: "write rules with {client} under auth.rules"},
	{name: "psk_hint", why: noPSK},
	{name: "tls_engine", why: "keys are read from files"},
	{name: "tls_engine_kpass_sha1", why: "keys are read from files"},
	{name: "tls_keyform", why: "keys are read from PEM files"},
	{name: "http_dir", why: "no files are served but dunlin's own page (http.bind)"},
	{name: "websockets_log_level", why: "log.levels sets the level of a part"},
	{name: "websockets_headers_size", why: "the headers of a request are bounded"},
	{name: "websockets_origin", why: "write it under origins of the listener"},
	{name: "enable_proxy_protocol", why: "name the addresses of the proxies under proxy_protocol of the listener"},
	{name: "accept_protocol_versions", why: "3.1, 3.1.1 and 5.0 are all spoken"},
	{name: "disable_client_cert_date_checks", why: "certificates are always verified"},
	{name: "allow_zero_length_clientid", why: "always allowed, as MQTT 3.1.1 and 5.0 ask"},
}

var bridgeSettings = []setting{
	{name: "connection", read: newBridge},
	{name: "address", key: "address"},
	{name: "addresses", key: "address"},
	{name: "topic", read: func(c *converter, s *settings) { s.list = append(s.list, c.line.Value) }},
	{name: "remote_username", key: "username"},
	{name: "username", key: "username"},
	{name: "remote_password", key: "password"},
	{name: "password", key: "password"},
	{name: "remote_clientid", key: "client_id"},
	{name: "clientid", key: "client_id"},
	{name: "keepalive_interval", key: "keep_alive", number: &whole{"s", 5, 64800}},
	{name: "bridge_cafile", key: "ca"},
	{name: "bridge_certfile", key: "cert"},
	{name: "bridge_keyfile", key: "key"},
	{name: "bridge_alpn", key: "alpn"},
	{name: "bridge_protocol_version", read: bridgeVersion},
	{name: "notification_topic", key: "status"},
	{name: "notifications", key: "notifications"},
	{name: "cleansession", why: "the bridge's own queue is kept in any case, its session at the server until it expires"},
	{name: "local_cleansession", why: always},
	{name: "local_clientid", why: "a bridge is no client here"},
	{name: "local_username", why: "a bridge is no client here"},
	{name: "local_password", why: "a bridge is no client here"},
	{name: "round_robin", why: "the first server is preferred, and gone back to"},
	{name: "start_type", why: "a bridge is always connected; 'dunlin bridge pause' stops it"},
	{name: "idle_timeout", why: "a bridge is always connected"},
	{name: "threshold", why: "a bridge is always connected"},
	{name: "restart_timeout", why: "it waits one second at first, a minute at most, with jitter"},
	{name: "try_private", why: "the bit for bridges is set where the server knows it (profile: mosquitto)"},
	{name: "notifications_local_only", why: "the state of a bridge is always in $SYS here; status_topic is for the other side"},
	{name: "bridge_attempt_unsubscribe", why: "old subscriptions are ended at the server"},
	{name: "bridge_outgoing_retain", key: "outgoing_retain"},
	{name: "bridge_capath", why: "join the files of the folder into one, and name it under tls.ca"},
	{name: "bridge_insecure", why: "certificates are always verified: tls.server_name says which name is right"},
	{name: "bridge_require_ocsp", why: "certificates are verified without OCSP"},
	{name: "bridge_tls_version", why: "TLS 1.2 and 1.3 are spoken"},
	{name: "bridge_max_packet_size", why: "the server says what it takes; what is larger goes to the dead letters"},
	{name: "bridge_max_topic_alias", why: "topic aliases follow the server's limit"},
	{name: "bridge_bind_address", why: "the kernel chooses the address"},
	{name: "bridge_tcp_keepalive", why: "a dead connection is found by its acknowledgements"},
	{name: "bridge_tcp_user_timeout", why: always},
	{name: "bridge_identity", why: noPSK},
	{name: "bridge_psk", why: noPSK},
}

// newListener reads "port [address]"; port 0 and a path is a Unix socket.
func newListener(c *converter, _ *settings) {
	port, host, _ := strings.Cut(c.line.Value, " ")
	host = strings.TrimSpace(host)
	l := &listener{}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && !strings.HasPrefix(host, "/") {
		c.note("%s: %q is no port", c.line.Name, port)
		return
	}
	if strings.HasPrefix(host, "/") {
		l.set("bind", "unix:"+host)
	} else {
		l.set("bind", net.JoinHostPort(host, port))
	}
	c.listeners = append(c.listeners, l)
}

func protocol(c *converter, s *settings) {
	switch c.line.Value {
	case "mqtt":
	case "websockets":
		s.set("protocol", "websocket")
	default:
		c.note("protocol: %q is none that is known", c.line.Value)
	}
}

// identity makes a certificate's Common Name the user name.
func identity(c *converter, s *settings) {
	if c.line.Value != "true" {
		return
	}
	s.set("identity", "cn")
	if c.line.Name == "use_subject_as_username" {
		c.note("use_subject_as_username: the Common Name is the user name; san and fingerprint are the other ways")
	}
}

// expiration reads a number and a unit: h, d, w, m (months) or y.
func expiration(c *converter, s *settings) {
	v := c.line.Value
	days := map[byte]int{'d': 1, 'w': 7, 'm': 30, 'y': 365}
	if v == "" {
		return
	}
	n, err := strconv.Atoi(v[:len(v)-1])
	unit := v[len(v)-1]
	switch {
	case err == nil && unit == 'h' && n > 0:
		s.set("session_expiry_max", strconv.Itoa(n)+"h")
	case err == nil && days[unit] > 0 && n > 0 && n < 10000:
		s.set("session_expiry_max", strconv.Itoa(n*days[unit])+"d")
	default:
		c.note("%s: %q is no time", c.line.Name, v)
	}
}

// logType keeps the least severe of the types.
func logType(c *converter, s *settings) {
	levels := map[string]string{"all": "debug", "debug": "debug", "error": "error", "warning": "warn", "notice": "info", "information": "info"}
	order := "debug info warn error"
	level, ok := levels[c.line.Value]
	if !ok {
		c.note("log_type: %s is not a type of its own", c.line.Value)
		return
	}
	if was := s.values["level"]; was == "" || strings.Index(order, level) < strings.Index(order, was) {
		s.set("level", level)
	}
}
