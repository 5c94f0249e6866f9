package mosquittoconf

import (
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

var globalSettings, listenerSettings, bridgeSettings map[string]setting

func init() {
	globalSettings = map[string]setting{
		"per_listener_settings":        {key: "per_listener_settings"},
		"allow_anonymous":              {key: "anonymous"},
		"password_file":                {key: "users_file"},
		"acl_file":                     {key: "acl_file"},
		"max_keepalive":                numeric("keep_alive_max", "s", 1),
		"max_packet_size":              numeric("packet_size", "B", 20),
		"message_size_limit":           numeric("packet_size", "B", 20),
		"max_inflight_messages":        numeric("receive_maximum", "", 1),
		"max_queued_messages":          numeric("queue_messages", "", 1),
		"max_queued_bytes":             numeric("queue_size", "B", 1),
		"sys_interval":                 numeric("sys_interval", "s", 0),
		"persistent_client_expiration": {read: expiration},
		"retain_available":             {key: "retain"},
		"log_type":                     {read: logType},
		"persistence":                  {why: noNeed},
		"persistence_file":             {why: noNeed},
		"persistence_location":         {why: "data_dir is dunlin's own folder; mosquitto.db is not read"},
		"autosave_interval":            {why: noNeed},
		"autosave_on_changes":          {why: noNeed},
		"pid_file":                     {why: byService},
		"user":                         {why: byService},
		"log_dest":                     {why: "logs go to the journal, or to standard error"},
		"log_facility":                 {why: "logs go to the journal, or to standard error"},
		"log_timestamp":                {why: always},
		"log_timestamp_format":         {why: "times are RFC 3339"},
		"connection_messages":          {why: always},
		"set_tcp_nodelay":              {why: always},
		"queue_qos0_messages":          {why: "QoS 0 is not queued"},
		"upgrade_outgoing_qos":         {why: "a message keeps the lower QoS, as the standard asks"},
		"allow_duplicate_messages":     {why: "mqtt.overlap: each sends a message once for each subscription"},
		"clientid_prefixes":            {why: "write rules with {client} under auth.rules"},
		"auto_id_prefix":               {why: "assigned Client Identifiers have a form of their own"},
		"max_inflight_bytes":           {why: "bounded by mqtt.limits.receive_maximum and packet_size"},
		"memory_limit":                 {why: "memory.limit is that of the whole process: the default follows the control group"},
		"retain_expiry_interval":       {why: "messages expire by their Message Expiry Interval"},
		"check_retain_source":          {why: "a retained message stays when its publisher loses its right: 'dunlin topics clear' removes it"},
		"include_dir":                  {why: "there is no *.conf in that folder"},
		"psk_file":                     {why: noPSK},
		"plugin":                       {why: noPlugin},
		"auth_plugin":                  {why: noPlugin},
		"global_plugin":                {why: noPlugin},
	}
	listenerSettings = map[string]setting{
		"listener":                   {read: newListener},
		"port":                       {read: newListener},
		"bind_address":               {why: "write it into bind of the listener"},
		"bind_interface":             {why: "write the interface's address into bind of the listener"},
		"socket_domain":              {why: "a bind without a host is IPv4 and IPv6"},
		"protocol":                   {read: protocol},
		"allow_anonymous":            {key: "anonymous"},
		"password_file":              {key: "users_file"},
		"acl_file":                   {key: "acl_file"},
		"cafile":                     {key: "ca"},
		"capath":                     {why: "join the files of the folder into one, and name it under tls.ca"},
		"certfile":                   {key: "cert"},
		"keyfile":                    {key: "key"},
		"crlfile":                    {key: "crl"},
		"require_certificate":        {key: "require"},
		"use_identity_as_username":   {read: identity("cn")},
		"use_subject_as_username":    {read: identity("cn")},
		"mount_point":                {key: "topic_prefix"},
		"max_connections":            numeric("connections", "", 1),
		"max_topic_alias":            numeric("topic_alias_maximum", "", 0),
		"max_topic_alias_broker":     {why: "dunlin's own topic aliases follow the client's limit"},
		"max_qos":                    numeric("max_qos", "", 0),
		"maximum_qos":                numeric("max_qos", "", 0),
		"tls_version":                {why: "TLS 1.2 and 1.3 are spoken"},
		"ciphers":                    {why: "the secure ones of Go are used"},
		"ciphers_tls1.3":             {why: "the secure ones of Go are used"},
		"dhparamfile":                {why: "only key exchange over elliptic curves is used"},
		"use_username_as_clientid":   {why: "write rules with {client} under auth.rules"},
		"psk_hint":                   {why: noPSK},
		"tls_engine":                 {why: "keys are read from files"},
		"tls_engine_kpass_sha1":      {why: "keys are read from files"},
		"tls_keyform":                {why: "keys are read from PEM files"},
		"http_dir":                   {why: "no files are served but dunlin's own page (http.bind)"},
		"websockets_log_level":       {why: "log.levels sets the level of a part"},
		"websockets_headers_size":    {why: "the headers of a request are bounded"},
		"websockets_origin":          {why: "write it under origins of the listener"},
		"allow_zero_length_clientid": {why: "always allowed, as MQTT 3.1.1 and 5.0 ask"},
	}
	bridgeSettings = map[string]setting{
		"connection":                 {read: newBridge},
		"address":                    {key: "address"},
		"addresses":                  {key: "address"},
		"topic":                      {read: func(c *converter, s *settings) { s.list = append(s.list, c.line.Value) }},
		"remote_username":            {key: "username"},
		"username":                   {key: "username"},
		"remote_password":            {key: "password"},
		"password":                   {key: "password"},
		"remote_clientid":            {key: "client_id"},
		"clientid":                   {key: "client_id"},
		"keepalive_interval":         numeric("keep_alive", "s", 5),
		"bridge_cafile":              {key: "ca"},
		"bridge_certfile":            {key: "cert"},
		"bridge_keyfile":             {key: "key"},
		"bridge_alpn":                {key: "alpn"},
		"bridge_protocol_version":    {read: bridgeVersion},
		"notification_topic":         {key: "status"},
		"notifications":              {key: "notifications"},
		"cleansession":               {why: "the bridge's own queue is kept in any case, its session at the server until it expires"},
		"local_cleansession":         {why: always},
		"local_clientid":             {why: "a bridge is no client here"},
		"local_username":             {why: "a bridge is no client here"},
		"local_password":             {why: "a bridge is no client here"},
		"round_robin":                {why: "the first server is preferred, and gone back to"},
		"start_type":                 {why: "a bridge is always connected; 'dunlin bridge pause' stops it"},
		"idle_timeout":               {why: "a bridge is always connected"},
		"threshold":                  {why: "a bridge is always connected"},
		"restart_timeout":            {why: "it waits one second at first, a minute at most, with jitter"},
		"try_private":                {why: "the bit for bridges is set where the server knows it (profile: mosquitto)"},
		"notifications_local_only":   {why: "the state of a bridge is always in $SYS here; status_topic is for the other side"},
		"bridge_attempt_unsubscribe": {why: "old subscriptions are ended at the server"},
		"bridge_outgoing_retain":     {key: "outgoing_retain"},
		"bridge_capath":              {why: "join the files of the folder into one, and name it under tls.ca"},
		"bridge_insecure":            {why: "certificates are always verified: tls.server_name says which name is right"},
		"bridge_require_ocsp":        {why: "certificates are verified without OCSP"},
		"bridge_tls_version":         {why: "TLS 1.2 and 1.3 are spoken"},
		"bridge_max_packet_size":     {why: "the server says what it takes; what is larger goes to the dead letters"},
		"bridge_max_topic_alias":     {why: "topic aliases follow the server's limit"},
		"bridge_bind_address":        {why: "the kernel chooses the address"},
		"bridge_tcp_keepalive":       {why: "a dead connection is found by its acknowledgements"},
		"bridge_tcp_user_timeout":    {why: always},
		"bridge_identity":            {why: noPSK},
		"bridge_psk":                 {why: noPSK},
	}
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

// identity makes a certificate a user name.
func identity(of string) func(c *converter, s *settings) {
	return func(c *converter, s *settings) {
		if c.line.Value != "true" {
			return
		}
		s.set("identity", of)
		if c.line.Name == "use_subject_as_username" {
			c.note("use_subject_as_username: the Common Name is the user name; san and fingerprint are the other ways")
		}
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
