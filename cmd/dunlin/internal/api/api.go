package api

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/http1"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/lines"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/page"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/plain"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/scan"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Options are what the API shows and works on. The functions may be called
// from any goroutine at any time.
type Options struct {
	Broker  *broker.Broker
	Client  *broker.Client // publishes for those who may
	Config  func() *config.Config
	Bridges func() []*bridge.Bridge
	Devices func() []sensors.Status
	// Ask passes on what a person asks of a device.
	Ask    func(device string, what sensors.Asked) error
	Build  Build
	Node   string
	Auth   *broker.Auth  // proves who logs in at the page
	Lines  *lines.Ring   // the newest of the log
	Events *lines.Events // the last of each client
	// Trust lets programs of this machine do everything on a port that has
	// nobody to log in as: for the demo.
	Trust bool
	// Check finds the mistakes of a configuration's text.
	Check func(text []byte) Checked
	// Reload carries out the configuration anew, or says what that would
	// change; Reloaded is how the last one went, nil if there was none.
	Reload   func(dry bool) (*Reload, error)
	Reloaded func() *Reloaded
	// Upgrade takes over connections of the port that ask for another protocol,
	// or returns false.
	Upgrade func(r *http1.Request, read []byte) bool
	// Examine is 'dunlin doctor' from within; Scan looks for hardware, on one I2C
	// bus or, with "", on those for sensors.
	Examine func(ctx context.Context) Diagnosis
	Scan    func(ctx context.Context, bus string, all bool) (*scan.Report, error)
	// Free is how many bytes the disk has room for, if that is known;
	// Certificates are those in use, and until when each is valid.
	Free         func() (bytes int64, ok bool)
	Certificates func() map[string]time.Time
	Updater      string // its socket; empty: UpdateSocket
	Log          *slog.Logger
}

// API answers requests.
type API struct {
	Options
	started  time.Time
	door     door
	pulse    pulse
	logins   logins
	past     past
	watchers watchers
	losses   losses
	crowded  atomic.Uint64 // connections that were closed because there were too many
	looking  sync.Mutex    // held while somebody has the machine looked at
}

// New makes an API; it serves nothing yet.
func New(o Options) *API {
	return &API{Options: o, started: time.Now()}
}

// ServeSocket serves a Unix socket until ctx ends: who can open it is an
// admin.
func (a *API) ServeSocket(ctx context.Context, ln net.Listener) error {
	return a.server(func(c *call) *Problem {
		c.User, c.role = broker.SocketUser(c.Conn), admin
		if c.User == "" {
			c.User = "somebody on this machine"
		}
		return nil
	}).Serve(ctx, ln)
}

// ServePort serves a TCP port until ctx ends.
func (a *API) ServePort(ctx context.Context, ln net.Listener) error {
	s := a.server(a.admit)
	s.Upgrade = a.Upgrade
	return s.Serve(ctx, ln)
}

// server makes a server whose callers are known by who.
func (a *API) server(who func(*call) *Problem) *http1.Server {
	return &http1.Server{
		Log:    a.Log,
		Full:   func() { a.crowded.Add(1) },
		Stream: func(r *http1.Request) bool { return r.Method == "POST" && r.Path == updatePath },
		Refuse: func(w *http1.Writer, status int, why string) { reply(w, status, problem(status, "%s", why)) },
		Handler: func(ctx context.Context, w *http1.Writer, r *http1.Request) {
			c := &call{Request: r, a: a, ctx: ctx, w: w}
			if p := a.answer(c, who); p != nil {
				reply(w, p.Status, p)
			}
		},
	}
}

// call is one request on its way through the table.
type call struct {
	*http1.Request
	a     *API
	ctx   context.Context // of the request; a call lives no longer
	w     *http1.Writer
	User  string // for the audit log
	role  role
	login bool   // a cookie says who it is
	proof *login // of who is not on the socket, and is somebody; else nil
	name  string // what stands for the * in the path
	args  values
	done  bool // answered already
}

// answer finds the route of a request and takes it.
func (a *API) answer(c *call, who func(*call) *Problem) *Problem {
	if p := who(c); p != nil {
		return p
	}
	if f := page.Find(c.Path); f != nil && (c.Method == "GET" || c.Method == "HEAD") {
		c.show(f)
		return nil
	}
	r, p := c.route()
	if p != nil {
		return p
	}
	if c.role < a.wanted(r) {
		return a.refuse(c)
	}
	var err error
	if c.args, err = parseQuery(c.Query, r.query); err != nil {
		return problemOf(err)
	}
	doc, err := r.do(c)
	switch {
	case err != nil:
		return problemOf(err)
	case c.done:
	case doc == nil:
		c.w.Reply(204, "", nil)
	default:
		reply(c.w, 200, doc)
	}
	if r.method != "GET" && r.role == admin && err == nil && c.args["dry_run"] != "true" {
		a.Log.Info("changed over the API", "user", c.User, "request", c.Method+" "+c.Path)
	}
	return nil
}

// show sends a file of the page.
func (c *call) show(f *page.File) {
	keep := "no-cache"
	if f.Lasting && c.Query != "" {
		keep = "public, max-age=31536000, immutable"
	}
	c.w.Set("Cache-Control", keep)
	c.w.Set("Content-Security-Policy", page.Policy)
	c.w.Set("X-Content-Type-Options", "nosniff")
	c.w.Set("Referrer-Policy", "no-referrer")
	c.replyPacked(f.Type, f.Body)
}

// replyPacked sends what is kept compressed with gzip, as it is to who takes
// that.
func (c *call) replyPacked(contentType string, body []byte) {
	c.w.Set("Vary", "Accept-Encoding")
	if takesGzip(c.Header.Get("accept-encoding")) {
		c.w.Set("Content-Encoding", "gzip")
	} else {
		body = plain.Bytes(body)
	}
	c.w.Reply(200, contentType, body)
}

// takesGzip reads an Accept-Encoding, in which a coding of weight 0 is refused
// (RFC 9110, 12.5.3).
func takesGzip(accept string) bool {
	for _, part := range strings.Split(accept, ",") { // not SplitSeq: 500 bytes of machine code
		if coding, weight, _ := strings.Cut(part, ";"); strings.TrimSpace(coding) == "gzip" {
			q, weighted := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			return !weighted || strings.Trim(q, "0.") != ""
		}
	}
	return false
}

// wanted is the role that a route takes.
func (a *API) wanted(r *route) role {
	if r.path == "/metrics" {
		switch a.Config().HTTP.Metrics {
		case "open":
			return open
		case "none":
			return admin
		}
	}
	return r.role
}

func (a *API) refuse(c *call) *Problem {
	if c.role == open {
		return &Problem{401, "who are you?", "log in at the page, or send a token of http.tokens as Authorization: Bearer TOKEN"}
	}
	a.Log.Warn("refused over the API", "user", c.User, "request", c.Method+" "+c.Path)
	return problem(403, "%s may look, but not do this", c.User)
}

// route finds the row of the table for a request.
func (c *call) route() (*route, *Problem) {
	method := c.Method
	if method == "HEAD" {
		method = "GET"
	}
	others := ""
	for i := range table {
		r := &table[i]
		name, ok := match(r.path, c.Path)
		if !ok {
			continue
		}
		if r.method != method {
			if others += ", " + r.method; r.method == "GET" {
				others += ", HEAD"
			}
			continue
		}
		c.name = name
		return r, nil
	}
	if others != "" {
		c.w.Set("Allow", others[2:])
		return nil, problem(405, "%s is not for this", c.Method)
	}
	return nil, &Problem{404, "there is nothing here", "GET /api/v1/openapi.json lists what there is"}
}
