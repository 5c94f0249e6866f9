package api

import (
	"maps"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// exposition is metrics in Prometheus' text format, version 0.0.4.
type exposition struct {
	text []byte
	name string // of the family being written
}

// family begins a family: kind is counter or gauge.
func (e *exposition) family(kind, name, help string) {
	e.name = name
	e.text = append(e.text, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
}

// sample adds a value; labels are names and values in turn.
func (e *exposition) sample(v float64, labels ...string) {
	set := ""
	for i := 0; i < len(labels); i += 2 {
		set += "," + labels[i] + `="` + labelEscape.Replace(labels[i+1]) + `"`
	}
	if set != "" {
		set = "{" + set[1:] + "}"
	}
	e.text = append(e.text, e.name+set+" "+strconv.FormatFloat(v, 'g', -1, 64)+"\n"...)
}

var labelEscape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (e *exposition) gauge(name, help string, v float64, labels ...string) {
	e.family("gauge", name, help)
	e.sample(v, labels...)
}

func (e *exposition) counter(name, help string, v uint64, labels ...string) {
	e.family("counter", name, help)
	e.sample(float64(v), labels...)
}

func metrics(c *call) (any, error) {
	e := new(exposition)
	a := c.a
	b := a.Build
	e.gauge("dunlin_build_info", "Version of the running program; the value is always 1.", 1,
		"version", b.Version, "revision", b.Revision, "goversion", b.Go, "goarch", b.Arch)
	e.gauge("dunlin_start_time_seconds", "Unix time at which the gateway started.", unix(a.started))
	e.gauge("dunlin_ready", "Whether the gateway is ready to serve (1) or not (0).", one(a.store().Mode != "degraded"))
	last := a.Reloaded()
	if last == nil {
		last = &Reloaded{At: a.started, OK: true}
	}
	good := last.Good
	if good.IsZero() {
		good = a.started
	}
	e.gauge("dunlin_config_last_reload_successful", "Whether the last reload succeeded.", one(last.OK))
	e.gauge("dunlin_config_last_reload_timestamp_seconds", "Unix time of the last reload, or of the start.", unix(last.At))
	e.gauge("dunlin_config_last_reload_success_timestamp_seconds", "Unix time of the last reload that succeeded, or of the start.", unix(good))
	e.counter("dunlin_http_connections_closed_total", "Connections to the page and the API that were closed because there were too many.", a.crowded.Load())
	e.broker(a)
	e.listeners(a)
	e.bridges(a)
	e.devices(a)
	e.store(a)
	e.certificates(a)
	e.process(a)
	c.done = true
	c.w.Set("Cache-Control", "no-store")
	c.w.Reply(200, "text/plain; version=0.0.4; charset=utf-8", e.text)
	return nil, nil
}

func (e *exposition) broker(a *API) {
	s := a.Broker.Stats()
	e.family("gauge", "dunlin_mqtt_sessions", "Sessions held, connected or not.")
	e.sample(float64(s.ClientsConnected), "state", "connected")
	e.sample(float64(s.Clients-s.ClientsConnected), "state", "offline")
	e.gauge("dunlin_mqtt_subscriptions", "Subscriptions held now.", float64(s.Subscriptions))
	e.gauge("dunlin_mqtt_retained_messages", "Retained messages held now.", float64(s.Retained))
	e.gauge("dunlin_mqtt_retained_bytes", "Payload and topic bytes of the retained messages.", float64(s.RetainedBytes))
	e.gauge("dunlin_mqtt_queued_messages", "Messages waiting for offline or slow clients.", float64(s.Waiting))
	e.gauge("dunlin_mqtt_queued_bytes", "Their bytes.", float64(s.WaitingBytes))
	e.gauge("dunlin_mqtt_inflight_messages", "QoS 1 and 2 messages sent and not yet acknowledged.", float64(s.InFlight))
	e.counter("dunlin_mqtt_messages_routed_total", "Messages routed, those of devices and bridges included.", s.Published)
	in, out := &s.Received, &s.Sent
	for _, f := range []struct {
		name, help string
		in, out    uint64
	}{
		{"dunlin_mqtt_publishes_total", "PUBLISH packets, by direction.", in.Publishes, out.Publishes},
		{"dunlin_mqtt_publish_bytes_total", "Payload bytes of PUBLISH packets.", in.Payload, out.Payload},
		{"dunlin_mqtt_packets_total", "MQTT packets of any type.", in.Packets, out.Packets},
		{"dunlin_mqtt_bytes_total", "Bytes on the wire to and from MQTT clients.", in.Bytes, out.Bytes},
	} {
		e.counter(f.name, f.help, f.in, "direction", "in")
		e.sample(float64(f.out), "direction", "out")
	}
	d := &s.Drops
	e.counter("dunlin_mqtt_dropped_messages_total", "Messages dropped for a receiver, by reason.", d.Full, "reason", "queue_full")
	e.sample(float64(d.TooLarge), "reason", "too_large")
	e.sample(float64(d.Expired), "reason", "expired")
	e.sample(float64(d.Refused+s.ReceiveRefused), "reason", "not_authorized")
	e.sample(float64(d.Left), "reason", "session_ended")
	e.counter("dunlin_mqtt_refused_publishes_total", "Messages of clients that were not routed.", s.PublishRefused)
	e.counter("dunlin_mqtt_retained_refused_total", "Messages that were routed but not retained, for want of room.", s.RetainedRefused)
	e.counter("dunlin_mqtt_protocol_errors_total", "Connections ended for breaking the protocol.", s.ProtocolErrors)
}

func (e *exposition) listeners(a *API) {
	all := a.Broker.Listeners()
	e.family("gauge", "dunlin_mqtt_connections", "Connections now.")
	for _, l := range all {
		e.sample(float64(l.Connections), "listener", l.Name)
	}
	e.family("counter", "dunlin_mqtt_connections_accepted_total", "Connections accepted since the start.")
	for _, l := range all {
		e.sample(float64(l.Accepted), "listener", l.Name)
	}
	refused := map[mqtt.ReasonCode]uint64{}
	for _, l := range all {
		for code, n := range l.Refused {
			refused[code] += n
		}
	}
	var codes []int
	for code := range refused {
		codes = append(codes, int(code))
	}
	sort.Slice(codes, func(i, j int) bool { return codes[i] < codes[j] })
	e.family("counter", "dunlin_mqtt_connections_refused_total", "Connections refused, by reason.")
	for _, code := range codes {
		reason := strings.ReplaceAll(strings.ToLower(mqtt.ReasonCode(code).String()), " ", "_")
		e.sample(float64(refused[mqtt.ReasonCode(code)]), "reason", reason)
	}
}

// bridgeFamilies are the families of bridges, in the order of bridgeValues; one
// without a help goes on with the family before it, in the other direction.
var bridgeFamilies = [...]struct{ kind, name, help, direction string }{
	{"gauge", "dunlin_bridge_up", "Whether the upstream connection is established.", ""},
	{"counter", "dunlin_bridge_connects_total", "Successful connections to the upstream server.", ""},
	{"counter", "dunlin_bridge_connect_failures_total", "Failed attempts to connect.", ""},
	{"counter", "dunlin_bridge_acknowledged_messages_total", "Messages that the upstream server acknowledged, or that left with QoS 0.", ""},
	{"counter", "dunlin_bridge_received_messages_total", "Messages from upstream published here.", ""},
	{"counter", "dunlin_bridge_dead_messages_total", "Messages given up for a lasting reason.", ""},
	{"counter", "dunlin_bridge_bytes_total", "Payload bytes carried, those sent again included.", "in"},
	{"", "", "", "out"},
	{"gauge", "dunlin_bridge_rtt_seconds", "Time between a PUBLISH and its acknowledgement, smoothed.", ""},
	{"gauge", "dunlin_bridge_last_acknowledged_timestamp_seconds", "Unix time of the last upstream acknowledgement.", ""},
	{"gauge", "dunlin_spool_messages", "Messages waiting.", ""},
	{"gauge", "dunlin_spool_bytes", "Bytes waiting.", ""},
	{"gauge", "dunlin_spool_oldest_message_age_seconds", "Age of the oldest waiting message: the lag.", ""},
	{"counter", "dunlin_spool_appended_messages_total", "Messages written to the spool.", ""},
	{"counter", "dunlin_spool_dropped_messages_total", "Messages given up by overflow or expiry.", ""},
}

func bridgeValues(s *bridge.Stats) [len(bridgeFamilies)]float64 {
	q := &s.Queue
	return [...]float64{
		one(s.State == bridge.Up), float64(s.Connects), float64(s.Attempts - s.Connects), float64(s.Queue.Removed), float64(s.Received), float64(s.Dead),
		float64(s.Taken), float64(s.Payload),
		s.RTT.Seconds(), unix(s.LastAck), float64(q.Messages), float64(q.Bytes), q.Oldest.Seconds(), float64(q.Accepted), float64(q.Dropped),
	}
}

func (e *exposition) bridges(a *API) {
	var names []string
	var values [][len(bridgeFamilies)]float64
	for _, b := range a.Bridges() {
		s := b.Stats()
		names, values = append(names, b.Name()), append(values, bridgeValues(&s))
	}
	for i, f := range &bridgeFamilies {
		if len(names) > 0 && f.help != "" {
			e.family(f.kind, f.name, f.help)
		}
		for j, name := range names {
			labels := []string{"bridge", name, "direction", f.direction}
			if f.direction == "" {
				labels = labels[:2]
			}
			e.sample(values[j][i], labels...)
		}
	}
	if len(names) > 0 {
		e.family("gauge", "dunlin_spool_max_bytes", "Bytes that may wait.")
	}
	for _, b := range a.Config().Bridges {
		e.sample(float64(b.Spool.MaxSize), "bridge", b.Name)
	}
}

func (e *exposition) certificates(a *API) {
	all := a.Certificates()
	if len(all) > 0 {
		e.family("gauge", "dunlin_tls_certificate_not_after_timestamp_seconds", "Unix time at which a certificate in use expires.")
	}
	for _, use := range slices.Sorted(maps.Keys(all)) {
		e.sample(unix(all[use]), "use", use)
	}
}

func (e *exposition) devices(a *API) {
	all := a.devices()
	if len(all) == 0 {
		return
	}
	e.family("gauge", "dunlin_sensor_up", "Whether the device is online.")
	for _, d := range all {
		e.sample(one(d.State == string(sensors.Online)), "sensor", d.Name, "type", d.Driver)
	}
	e.family("counter", "dunlin_sensor_reads_total", "Readings taken, by result.")
	for _, d := range all {
		e.sample(float64(d.OK), "sensor", d.Name, "result", "ok")
		e.sample(float64(d.Failed), "sensor", d.Name, "result", "error")
	}
	e.family("gauge", "dunlin_sensor_read_duration_seconds", "Time the last reading took, the wait for a shared bus included.")
	for _, d := range all {
		if d.Took > 0 {
			e.sample(d.Took, "sensor", d.Name)
		}
	}
	e.family("gauge", "dunlin_sensor_last_reading_timestamp_seconds", "Unix time of the last good reading.")
	for _, d := range all {
		if d.Age >= 0 {
			e.sample(unix(time.Now())-d.Age, "sensor", d.Name)
		}
	}
	e.family("gauge", "dunlin_sensor_value", "Last good value of a numeric entity, in its unit.")
	for _, d := range all {
		for _, v := range d.Values {
			if n, ok := number(v.Value); ok {
				e.sample(n, "sensor", d.Name, "field", v.Entity, "unit", v.Unit)
			}
		}
	}
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case bool:
		return one(n), true
	}
	return 0, false
}

func (e *exposition) store(a *API) {
	s, durable := a.Broker.Store()
	if !durable {
		return
	}
	e.counter("dunlin_storage_written_bytes_total", "Bytes handed to the disk, by cause.", s.Journal, "store", "journal")
	e.sample(float64(s.Checkpoint), "store", "checkpoint")
	e.sample(float64(s.NewSegments), "store", "segments")
	e.counter("dunlin_storage_syncs_total", "Times the journal was synced.", s.Syncs)
	e.counter("dunlin_storage_errors_total", "Failed writes or syncs.", s.Failures)
	if free, ok := a.Free(); ok {
		e.gauge("dunlin_storage_free_bytes", "Free bytes on the file system of data_dir.", float64(free))
	}
	e.gauge("dunlin_storage_unsynced_seconds", "Age of the oldest record that is not on the disk.", s.UnsyncedAge.Seconds())
}

func (e *exposition) process(a *API) {
	p := readProcess()
	e.gauge("process_start_time_seconds", "Unix time at which the process started.", unix(a.started))
	e.family("counter", "process_cpu_seconds_total", "User and system CPU time.")
	e.sample(p.cpu)
	e.gauge("process_resident_memory_bytes", "Resident memory.", float64(p.resident))
	e.gauge("process_open_fds", "Open file descriptors.", float64(p.files))
	e.gauge("process_max_fds", "Limit of open file descriptors.", float64(p.maxFiles))
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	e.gauge("go_goroutines", "Goroutines now.", float64(runtime.NumGoroutine()))
	e.gauge("go_memstats_heap_inuse_bytes", "Bytes in heap spans that are in use.", float64(m.HeapInuse))
}

func one(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

// unix is a time in seconds since 1970, 0 for none.
func unix(t time.Time) float64 {
	return max(0, float64(t.UnixMilli())/1000)
}
