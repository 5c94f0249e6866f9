package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// newMachine is the way of somebody who has just got the package, and of
// somebody who has just got the program: each command is the one that the step
// before printed.
func (w *world) newMachine() {
	begin := time.Now()
	said := w.must("dpkg --force-unsafe-io -i /root/dunlin.deb </dev/null")
	next := after(said, "dunlin serves this machine only. Next:")
	w.check("the installation says how to go on", next == "dunlin init", said)
	w.follow(next, "/lib/systemd/system/dunlin.service")
	w.reachable("after dunlin init", map[int]string{1883: "MQTT", 8083: "the page"})
	fmt.Printf("       %.0f s from the package to the first value on the page, on an emulated processor\n", time.Since(begin).Seconds())
	w.must("dpkg -P dunlin")
	w.is("purged, nothing of this is left either", traces+"; getent passwd dunlin", "")

	w.must("dpkg-deb -x /root/dunlin.deb /tmp/x && install -m 755 /tmp/x/usr/bin/dunlin /usr/bin/dunlin && rm -r /tmp/x")
	said = w.say("dunlin")
	w.check("the program alone says how to begin", strings.Contains(said, "init        write a configuration"), said)
	w.follow("dunlin init", "/etc/systemd/system/dunlin.service")
	w.is("systemd has nothing to say against this unit", "systemd-analyze verify --man=no /etc/systemd/system/dunlin.service", "")
	exposure := 10.0
	fmt.Sscanf(w.say("systemd-analyze security --no-pager dunlin.service | sed -n 's/.*exposure level for dunlin.service: //p'"), "%f", &exposure)
	w.check(fmt.Sprintf("its exposure is %.1f", exposure), exposure <= 2, "")
	w.must("dunlin service remove")
	w.is("removed, nothing runs", "systemctl is-active dunlin; systemctl is-enabled dunlin 2>&1 | head -c 6", "inactive\nFailed")
}

// follow goes from a first command to a value on the page.
func (w *world) follow(first, unit string) {
	said := w.must(first)
	next := after(said, "Next")
	secret := regexp.MustCompile(`user admin, password +(\S+) `).FindStringSubmatch(said)
	values, page := after(said, "Then"), after(said, "Page")
	if !w.check("dunlin init says how to go on, and what will be seen where", next == "dunlin service install" && secret != nil && strings.HasPrefix(values, "dunlin sub ") && page == "http://barn:8083, as admin", said) {
		return
	}
	said = w.must(next)
	w.check("so does dunlin service install", after(said, "Next") == "dunlin status", said)
	w.is("systemd runs the unit "+unit, "systemctl show -p FragmentPath --value dunlin; systemctl is-enabled dunlin", unit+"\nenabled")
	said = w.must(after(said, "Next"))
	w.check("dunlin status shows the gateway", strings.HasPrefix(said, "barn "), said)
	said = w.must(values + " -C 1 -W 120") // or it would go on for ever
	w.check("the first value is there", strings.HasPrefix(said, "dunlin/barn/"), said)
	w.onThePage(secret[1])
	w.nothingAsRoot()
}

// onThePage logs in as a browser in the network would, and looks for a value.
func (w *world) onThePage(password string) {
	address, err := w.g.forward(8083)
	if err != nil {
		w.check("the page can be reached", false, err.Error())
		return
	}
	status, _, text := request("GET", address, "/", "")
	w.check("the page is there for the network", status == 200 && strings.Contains(text, "<html"), fmt.Sprint(status, " ", text))
	status, header, text := request("POST", address, "/api/v1/login", fmt.Sprintf(`{"user":"admin","password":%q}`, password), "Content-Type", "application/json")
	cookie, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	w.check("the password that was shown opens it", status < 300 && cookie != "", fmt.Sprint(status, " ", text))
	status, _, text = request("GET", address, "/api/v1/devices", "", "Cookie", cookie)
	w.check("the first value is on it", status == 200 && strings.Contains(text, `"values":[{"entity":`), fmt.Sprint(status, " ", text))
}

// reachable looks at every socket that listens, inside and from the network:
// only the ports of open answer there, and nothing without a password.
func (w *world) reachable(when string, open map[int]string) {
	found, err := listeners(w.say("for f in tcp tcp6 udp udp6; do echo $f; cat /proc/net/$f; done"))
	if err != nil {
		w.check("sockets can be listed", false, err.Error())
		return
	}
	user := 0
	fmt.Sscan(w.say("id -u dunlin"), &user)
	ports := map[int]bool{22: true, 80: true, 443: true, 1883: true, 8080: true, 8083: true, 8883: true, 9001: true}
	var strangers []string
	ours := 0
	for _, l := range found {
		if l.uid == user {
			ours++
		}
		if strings.HasPrefix(l.protocol, "tcp") {
			ports[l.port] = true
		}
		if !l.local() && open[l.port] == "" {
			strangers = append(strangers, l.String())
		}
	}
	w.check(fmt.Sprintf("%s %d sockets listen, and the network sees %d ports of them", when, len(found), len(open)), ours > 0 && len(strangers) == 0, strings.Join(strangers, ", "))
	for port := range ports {
		address, err := w.g.forward(port)
		if err != nil {
			w.check(fmt.Sprint("port ", port, " can be tried"), false, err.Error())
			continue
		}
		w.tried(port, address, open[port] != "")
	}
}

// tried is what somebody in the network without a password gets from a port.
func (w *world) tried(port int, address string, open bool) {
	switch {
	case !open:
		code, err := connectMQTT(address, "", "")
		status, _, _ := request("GET", address, "/", "")
		w.check(fmt.Sprintf("port %d is closed for the network", port), err != nil && status == 0, fmt.Sprint("CONNACK ", code, ", HTTP ", status))
	case port == 1883:
		code, err := connectMQTT(address, "", "")
		w.check("a CONNECT without a password is refused", err == nil && code == 5, fmt.Sprint(code, err))
		code, err = connectMQTT(address, "admin", "guessed")
		w.check("one with a wrong password too", err == nil && code == 4, fmt.Sprint(code, err))
	default:
		for _, path := range []string{"/api/v1/status", "/api/v1/devices", "/api/v1/clients", "/api/v1/topics", "/api/v1/config", "/api/v1/logs", "/api/v1/events", "/metrics"} {
			status, _, text := request("GET", address, path, "")
			w.check("without a password there is no "+path, status == 401, fmt.Sprintf("%d %.200s", status, text))
		}
		status, _, text := request("POST", address, "/api/v1/login", `{"user":"admin","password":"guessed"}`, "Content-Type", "application/json")
		w.check("a guessed password opens nothing", status == 401, fmt.Sprintf("%d %.200s", status, text))
	}
}
