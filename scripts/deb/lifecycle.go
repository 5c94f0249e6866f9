package main

import (
	"fmt"
	"strings"
)

// traces lists what a package may leave on the machine, but for the logs and
// indexes that dpkg, systemd and the account tools keep of everything.
const traces = `find /etc /usr /lib /var /run /home /root -xdev \( -iname '*dunlin*' -o -path '*dunlin*' \) ! -path '/root/*.deb' ! -path '/run/udev/*' ! -path '/run/log/*' ! -path '/var/log/*' | sort`

const connack = `exec 3<>/dev/tcp/127.0.0.1/1883; printf '\x10\x0c\0\4MQTT\4\2\0\74\0\0' >&3; timeout 30 head -c4 <&3 | od -An -tx1`

// installed installs the older version, and looks at all that a package does.
func (w *world) installed() {
	w.is("nothing of dunlin is on the machine", traces+"; getent passwd dunlin", "")
	w.must(`systemd-run -q --unit other perl -MIO::Socket -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:1883", Listen => 5) or die $!; sleep' && until grep -q 0100007F:075B /proc/net/tcp; do sleep 0.1; done`)
	said := w.must("dpkg --force-unsafe-io -i /root/older.deb </dev/null 2>&1")
	w.check("beside another server on its port it says that it does not start", strings.Contains(said, "dunlin does not start: 'dunlin doctor' says why"), said)
	w.check("and doctor says why", strings.Contains(w.say("dunlin doctor"), "127.0.0.1:1883 is taken"), "")
	w.must("systemctl stop other")
	w.becomes("without that server it does", "systemctl -q is-active dunlin")
	w.is("the service is active", "systemctl is-active dunlin", "active")
	w.is("and enabled", "systemctl is-enabled dunlin", "enabled")
	w.is("systemd knows how it is", "systemctl show -p StatusText --value dunlin | grep -o '^0 clients'", "0 clients")
	w.is("it runs as the user dunlin", "stat -c %U:%G /proc/$(systemctl show -p MainPID --value dunlin)", "dunlin:dunlin")
	w.nothingAsRoot()
	w.is("and has no capability", "grep -c '^Cap.*:[[:space:]]*0*$' /proc/"+w.pid()+"/status", "5")
	groups := " " + w.say("id -Gn dunlin") + " "
	for _, g := range []string{"dialout", "gpio", "i2c", "spi"} {
		w.check("the user is in the group "+g, strings.Contains(groups, " "+g+" "), groups)
	}
	w.is("a GPIO chip belongs to its group", "stat -c %G:%a /dev/gpiochip0", "gpio:660")
	w.is("the driver of I2C buses will be loaded", "grep -v '^#' /usr/lib/modules-load.d/dunlin.conf", "i2c-dev")
	w.devices()
	w.is("the configuration is kept from others", "stat -c %U:%G:%a /etc/dunlin/dunlin.yaml /etc/dunlin", "root:dunlin:640\nroot:dunlin:750")
	w.is("the data too", "stat -c %U:%G:%a /var/lib/dunlin", "dunlin:dunlin:700")
	w.is("systemd has nothing to say against the unit", "systemd-analyze verify --man=no /lib/systemd/system/dunlin.service", "")
	w.is("a client of this machine is welcome", connack, "20 02 00 00")
	w.reachable("after the installation", nil)
}

// devices looks at what the service may open and write: devices whose drivers
// come after its start too, and of the kernel's files those of devices.
func (w *world) devices() {
	open := `mknod /root/node c %s && sh -c 'echo $$ >/sys/fs/cgroup/system.slice/dunlin.service/cgroup.procs && exec 3<>/root/node' 2>&1 | sed 's/.*: //; s/ or address//'; rm /root/node`
	for name, number := range map[string]string{"an I2C bus": "89 255", "a USB port": "188 0", "a USB modem": "166 0"} {
		w.is(name+" may be opened, should its driver come", fmt.Sprintf(open, number), "No such device")
	}
	w.is("the memory may not", fmt.Sprintf(open, "1 1"), "Operation not permitted")
	w.is("files of devices may be written, others of the kernel not", `awk '$2 == "/sys" || $2 == "/sys/devices" {print $2, substr($4, 1, 2)}' /proc/`+w.pid()+"/mounts | sort -u", "/sys ro\n/sys/devices rw")
}

// nothingAsRoot looks at every process of the program.
func (w *world) nothingAsRoot() {
	ids := w.say(`for p in $(pidof /usr/bin/dunlin); do grep -h '^[UG]id:' /proc/$p/status; done | tr '\t' '\n' | grep -v '^[UG]id:' | sort -u`)
	w.check("nothing of it runs as root", ids != "" && !strings.Contains("\n"+ids+"\n", "\n0\n"), "user and group ids "+ids)
}

// upgraded goes to the version under test, with a configuration that somebody
// has changed and a message that somebody has left.
func (w *world) upgraded() {
	w.must(`sed -i 's/name: host,/name: hut,/' /etc/dunlin/dunlin.yaml && systemctl reload dunlin`)
	w.must("dunlin pub -t kept -m 'before the upgrade' -r -q 1")
	before := w.pid()
	w.must("dpkg --force-unsafe-io -i /root/dunlin.deb </dev/null")
	w.is("the new version is there", "dpkg-query -W -f '${Version} ${Status}' dunlin", w.version+" install ok installed")
	w.becomes("it is active", "systemctl -q is-active dunlin")
	now := w.pid()
	w.check("in a process of its own", now != before && now != "0", now)
	w.is("which runs the new program", "readlink /proc/"+now+"/exe", "/usr/bin/dunlin")
	w.is("what was changed in the configuration is kept", "grep -c 'name: hut,' /etc/dunlin/dunlin.yaml", "1")
	w.is("a retained message too", "dunlin sub -t kept -C 1 -W 120", "before the upgrade")
	w.becomes("the device of that configuration has values", "dunlin sub -t 'dunlin/+/hut/load_1m' -C 1 -W 120 | grep -q '^[0-9.][0-9.]*$'")

	for _, deb := range []string{"failing", "cut"} {
		_, code := w.sh("dpkg --force-unsafe-io -i /root/" + deb + ".deb </dev/null")
		w.check("a "+deb+" package is not installed", code != 0, "dpkg --force-unsafe-io -i succeeds")
		w.is("the version before it is whole", "dpkg-query -W -f '${Version} ${Status}' dunlin; dpkg -V dunlin | grep -v -e dunlin.yaml -e /usr/share", w.version+" install ok installed")
		w.becomes("and serves", "systemctl -q is-active dunlin")
		w.is("with what it had", "dunlin sub -t kept -C 1 -W 120", "before the upgrade")
	}
	w.must("systemctl disable --now dunlin; dpkg --force-unsafe-io -i /root/dunlin.deb </dev/null")
	w.is("installed again, the configuration is kept", "grep -c 'name: hut,' /etc/dunlin/dunlin.yaml", "1")
	w.is("and nobody else may read it", "stat -c %U:%G:%a /etc/dunlin/dunlin.yaml", "root:dunlin:640")
	w.is("one that is switched off stays off", "systemctl is-active dunlin; systemctl is-enabled dunlin", "inactive\ndisabled")
	w.must("systemctl enable --now dunlin")
}

// troubled kills the process, and stops it so that it hangs.
func (w *world) troubled() {
	p := w.pid()
	w.must("kill -KILL " + p)
	w.becomes("killed, it is started again", fmt.Sprintf(`systemctl -q is-active dunlin && [ "$(systemctl show -p MainPID --value dunlin)" != %s ]`, p))
	w.is("with the messages it had", "dunlin sub -t kept -C 1 -W 120", "before the upgrade")
	w.must(`mkdir -p /run/systemd/system/dunlin.service.d && printf '[Service]\nWatchdogSec=6\n' >/run/systemd/system/dunlin.service.d/test.conf && systemctl daemon-reload && systemctl restart dunlin`)
	p = w.pid()
	w.must("kill -STOP " + p)
	w.becomes("hung, it is replaced by systemd's watchdog", fmt.Sprintf(`systemctl -q is-active dunlin && [ "$(systemctl show -p MainPID --value dunlin)" != %s ] && journalctl -q -u dunlin | grep -qi watchdog`, p))
	w.must("rm -r /run/systemd/system/dunlin.service.d && systemctl daemon-reload && systemctl restart dunlin")
}

// removed removes the package, installs it again and purges it.
func (w *world) removed() {
	w.must("dpkg -r dunlin")
	w.is("removed, nothing runs", "systemctl is-active dunlin; pidof dunlin", "inactive")
	w.is("configuration and data are there", "ls -d /etc/dunlin/dunlin.yaml /var/lib/dunlin", "/etc/dunlin/dunlin.yaml\n/var/lib/dunlin")
	w.must("dpkg --force-unsafe-io -i /root/dunlin.deb </dev/null")
	w.is("installed again, it starts, now and at every boot", "systemctl is-active dunlin; systemctl is-enabled dunlin", "active\nenabled")
	w.is("with what it had", "dunlin sub -t kept -C 1 -W 120; grep -c 'name: hut,' /etc/dunlin/dunlin.yaml", "before the upgrade\n1")
	w.must("dpkg -P dunlin")
	w.is("purged, nothing of it is left", traces+"; getent passwd dunlin; getent group dunlin; pidof dunlin; systemctl --no-legend --plain list-units --all 'dunlin*'", "")
}
