package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

//go:embed dunlin.service
var unitTemplate string

const serviceHelp = `Usage: dunlin service install [--user NAME] [-c FILE] [--root DIR]
       dunlin service remove [--root DIR]
       dunlin service status

install writes the unit of systemd, makes the system user, gives it the
configuration's directory and the groups for I2C, GPIO, SPI and serial ports
that exist here, and starts the gateway at once and at every boot. What a
package has done already stays as it is. With --root
only files are written, below DIR, as for an image. remove stops the gateway
and takes the unit away; configuration and data stay.

Examples:
  sudo dunlin service install
  sudo dunlin service install --root /mnt/image
  dunlin service status
`

// The places of a service's files, below a root.
const (
	unitFile     = "/etc/systemd/system/dunlin.service"
	packagedUnit = "/lib/systemd/system/dunlin.service"
	sysusersFile = "/etc/sysusers.d/dunlin.conf"
	wantsLink    = "/etc/systemd/system/multi-user.target.wants/dunlin.service"
)

// service is one run of the command.
type service struct {
	s                  streams
	root, user, config string
}

func runService(ctx context.Context, args []string, s streams) int {
	v := &service{s: s}
	q := newAsker("service", serviceHelp, s)
	q.flags.StringVar(&v.root, "root", "", "write below this `directory` and start nothing")
	q.flags.StringVar(&v.user, "user", "dunlin", "system `user` of the gateway")
	if code, done := q.parse(args); done {
		return code
	}
	if v.config = q.config; v.config == "" {
		v.config = "/etc/dunlin/dunlin.yaml"
	}
	var err error
	switch what := strings.Join(q.flags.Args(), " "); {
	case what != "install" && what != "remove" && what != "status":
		return q.usage("takes install, remove or status")
	case v.root == "" && !hasSystemd("/"):
		err = errors.New("systemd does not run this machine: have what does run 'dunlin run -c " + v.config + "' as a user of its own, and start it again when it ends")
	case what == "install":
		err = v.install()
	case what == "remove":
		err = v.remove()
	default:
		err = v.become("systemctl --no-pager status dunlin.service")
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: run it with sudo", err)
	}
	if err != nil {
		return q.fail(err)
	}
	return exitDone
}

func (v *service) install() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if strings.ContainsAny(program+v.config+v.user, " \t\n\"'`;&|<>()*?[]#~%$\\") {
		return errors.New("a path or name with spaces or special characters does not fit into a unit")
	}
	unit := strings.NewReplacer("PROGRAM", program, "CONFIG", v.config, "USER", v.user).Replace(unitTemplate)
	at, account := packagedUnit, ":"
	if shipped, _ := os.ReadFile(filepath.Join(v.root, packagedUnit)); string(shipped) != unit { // else a package has made all this
		at, account = unitFile, "systemd-sysusers "+sysusersFile
		if err := v.write(unitFile, unit); err != nil {
			return err
		}
		if err := v.write(sysusersFile, v.sysusers()); err != nil {
			return err
		}
	}
	if v.root != "" {
		return v.link(at)
	}
	fmt.Fprintln(v.s.out, "Next     ", asRoot("dunlin status"))
	dir := filepath.Dir(v.config)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%w: '%s' writes a configuration", err, asRoot("dunlin init"))
	}
	return v.become(account, "chown -R "+v.user+": "+dir, "systemctl daemon-reload", "systemctl -q enable dunlin.service", "systemctl restart dunlin.service")
}

// write writes a file below the root and says so.
func (v *service) write(name, text string) error {
	path := filepath.Join(v.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(v.s.out, "Wrote    ", path)
	return nil
}

// link has the unit started at every boot, as systemctl enable does.
func (v *service) link(unit string) error {
	path := filepath.Join(v.root, wantsLink)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(unit, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fmt.Fprintln(v.s.out, "Wrote    ", path)
	return nil
}

// hasSystemd says whether systemd runs the machine below root (sd_booted(3)).
func hasSystemd(root string) bool {
	_, err := os.Stat(filepath.Join(root, "run/systemd/system"))
	return err == nil
}

// sysusers describes the user and the groups it needs, of those that exist:
// naming others would make them, or keep the service from starting.
func (v *service) sysusers() string {
	text := fmt.Sprintf("u %s - \"MQTT gateway\" /var/lib/dunlin\n", v.user)
	groups, _ := os.ReadFile(filepath.Join(v.root, "/etc/group")) // without it, there are none
	for _, name := range []string{"i2c", "gpio", "spi", "dialout"} {
		if strings.Contains("\n"+string(groups), "\n"+name+":") {
			text += "m " + v.user + " " + name + "\n"
		}
	}
	return text
}

func (v *service) remove() error {
	for _, name := range []string{unitFile, sysusersFile, wantsLink} {
		if err := os.Remove(filepath.Join(v.root, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	fmt.Fprintln(v.s.out, "Removed   the unit; configuration and data are still there")
	if v.root != "" {
		return nil
	}
	return v.become("systemctl stop dunlin.service", "systemctl daemon-reload")
}

// become ends this program in a shell that runs the commands until one fails:
// systemd's tools do the rest. It returns only if that is not possible.
func (v *service) become(commands ...string) error {
	return syscall.Exec("/bin/sh", []string{"sh", "-ec", strings.Join(commands, "\n")}, os.Environ())
}
