package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
)

const passwdHelp = `Usage: dunlin passwd FILE USER
       dunlin passwd -b FILE USER PASSWORD
       dunlin passwd --token FILE USER
       dunlin passwd -D FILE USER
       dunlin passwd -U FILE
       dunlin passwd --list FILE

Writes a users file: auth.users_file of the configuration. The password is
asked for twice and not shown. The file is replaced as a whole, readable for
its owner only; comments and order stay. The gateway reads it when it starts,
and at 'dunlin reload'.

A users file holds USER:HASH, one a line. Files of mosquitto_passwd work; with
--format mosquitto, mosquitto reads what is written. --scram adds verifiers
for the Authentication Methods SCRAM-SHA-256 and SCRAM-SHA-512 to the hash,
--token makes a random password that costs the gateway next to nothing to
check: the best choice for devices.

Examples:
  dunlin passwd /etc/dunlin/users alice
  dunlin passwd --token /etc/dunlin/users esp-12
  pwgen 20 1 | dunlin passwd --stdin --scram users alice
  dunlin passwd -D users bob

Exit codes: 0 done, 1 failed, 2 wrong usage.
`

// passwdJob is one run of passwd.
type passwdJob struct {
	batch, create, remove, upgrade bool
	list                           bool
	stdin, scram, token            bool
	format                         string
	calibrate                      time.Duration
	file, user, password           string
}

func runPasswd(ctx context.Context, args []string, s streams) int {
	fs := flags.New("passwd")
	j := &passwdJob{}
	fs.BoolVarP(&j.batch, "batch", "b", false, "take the password from the command line, where others may see it")
	fs.BoolVarP(&j.create, "create", "c", false, "start a new file, whatever is in the old one")
	fs.BoolVarP(&j.remove, "delete", "D", false, "delete the user")
	fs.BoolVarP(&j.upgrade, "upgrade", "U", false, "hash the passwords of a file of USER:PASSWORD")
	fs.BoolVar(&j.list, "list", false, "print the users")
	fs.BoolVar(&j.stdin, "stdin", false, "read the password from standard input")
	fs.StringVar(&j.format, "format", "dunlin", "of the hash: dunlin (argon2id) or mosquitto ($7$)")
	fs.BoolVar(&j.scram, "scram", false, "add SCRAM verifiers of the password")
	fs.BoolVar(&j.token, "token", false, "make a random token and print it, once")
	fs.DurationVar(&j.calibrate, "calibrate", 0, "make the hash take about this `TIME` here, as 250ms")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, passwdHelp, fs) }); done {
		return code
	}
	if fault := j.take(fs.Args()); fault != "" {
		return usageError(s, "passwd", fault)
	}
	if err := j.run(ctx, s); err != nil {
		fmt.Fprintln(s.err, "dunlin passwd:", err)
		var faults broker.AuthFaults
		if errors.As(err, &faults) && faults[0].Hint != "" {
			fmt.Fprintln(s.err, "  =", faults[0].Hint)
		}
		if errors.Is(err, errInterrupted) {
			return exitInterrupted
		}
		return exitFailed
	}
	return exitDone
}

// take checks flags and arguments; it returns what is wrong with them.
func (j *passwdJob) take(args []string) (fault string) {
	want, shape := 2, "FILE USER"
	switch {
	case j.upgrade || j.list:
		want, shape = 1, "FILE"
	case j.batch:
		want, shape = 3, "FILE USER PASSWORD"
	}
	kinds := 0
	for _, set := range []bool{j.batch, j.stdin, j.token, j.remove, j.upgrade, j.list} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return "only one of -b, --stdin, --token, -D, -U and --list"
	case j.format != "dunlin" && j.format != "mosquitto":
		return fmt.Sprintf("--format is dunlin or mosquitto, not %q", j.format)
	case j.format == "mosquitto" && (j.scram || j.token || j.calibrate != 0):
		return "mosquitto reads neither --scram nor --token, and its hash has no --calibrate"
	case j.scram && (j.token || j.remove || j.upgrade || j.list):
		return "--scram needs a password"
	case j.create && (j.remove || j.upgrade || j.list):
		return "-c starts a new file: there is nothing to change in it"
	case j.calibrate < 0 || j.calibrate > 10*time.Second:
		return "--calibrate takes up to 10s"
	case len(args) != want:
		return "takes " + shape
	}
	j.file = args[0]
	if want > 1 {
		j.user = args[1]
	}
	if want > 2 {
		j.password = args[2]
	}
	return ""
}

func (j *passwdJob) run(ctx context.Context, s streams) error {
	if j.list {
		return j.printUsers(s.out)
	}
	if !j.batch && !j.token && !j.remove && !j.upgrade {
		if err := (&broker.UsersText{}).Set(j.user); err != nil {
			return err // before the password is asked for
		}
		p, err := askPassword(ctx, s, j.stdin)
		if err != nil {
			return err
		}
		j.password = string(p)
	}
	if j.upgrade || j.remove { // there is nothing to begin with
		if _, err := os.Lstat(j.file); err != nil {
			return err
		}
	}
	var done string
	var left error
	err := replaceFile(j.file, func(old []byte) (text []byte, err error) {
		if j.create {
			old = nil
		}
		u, err := broker.ParseUsersText(j.file, old)
		if err != nil {
			return nil, err
		}
		if done, err = j.change(u, s); err != nil {
			return nil, err
		}
		left = broker.CheckUsers(j.file, u.Bytes())
		return u.Bytes(), nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s: %s\n", j.file, done)
	if left != nil {
		fmt.Fprintf(s.err, "dunlin passwd: warning: the gateway will refuse the file until this is cured:\n%v\n", left)
	}
	return nil
}

func (j *passwdJob) printUsers(w io.Writer) error {
	text, err := os.ReadFile(j.file)
	if err != nil {
		return err
	}
	u, err := broker.ParseUsersText(j.file, text)
	if err != nil {
		return err
	}
	for _, name := range u.Users() {
		fmt.Fprintln(w, name)
	}
	return nil
}

// change does what was asked to the text, and says what it did.
func (j *passwdJob) change(u *broker.UsersText, s streams) (done string, err error) {
	switch {
	case j.remove:
		if !u.Delete(j.user) {
			return "", fmt.Errorf("%s has no user %q%s", j.file, j.user, didYouMean(j.user, u.Users(), ""))
		}
		return fmt.Sprintf("user %q deleted", j.user), nil
	case j.upgrade:
		cost := j.cost()
		n, err := u.HashAll(func(p []byte) (string, error) { return j.hash(p, cost) })
		return fmt.Sprintf("passwords hashed: %d", n), err
	case j.token:
		token, hash := broker.NewToken()
		if err := u.Set(j.user, hash); err != nil {
			return "", err
		}
		fmt.Fprintln(s.out, token)
		return fmt.Sprintf("user %q has a new token, to be used as the password; it is not shown again", j.user), nil
	}
	hash, err := j.hash([]byte(j.password), j.cost())
	if err != nil {
		return "", err
	}
	hashes := []string{hash}
	renewed := ""
	if j.scram || u.HasSCRAM(j.user) {
		verifiers, err := broker.SCRAMVerifiers([]byte(j.password))
		if err != nil {
			return "", err
		}
		hashes, renewed = append(hashes, verifiers...), ", SCRAM verifiers with it"
	}
	return fmt.Sprintf("password of user %q set%s", j.user, renewed), u.Set(j.user, hashes...)
}

func (j *passwdJob) hash(password []byte, cost broker.HashCost) (string, error) {
	if j.format == "mosquitto" {
		return broker.HashForMosquitto(password)
	}
	return broker.HashPassword(password, cost)
}

// cost is what a password takes: what fits this machine.
func (j *passwdJob) cost() broker.HashCost {
	cost := broker.DefaultHashCost(2 * memoryThereIs("/")) // which is half of the machine
	if j.calibrate > 0 {
		cost = broker.CalibrateHash(cost, j.calibrate)
	}
	return cost
}

// maxPasswordLine bounds what is read for a password.
const maxPasswordLine = 1024

// askPassword reads a password from standard input, or twice from the
// terminal.
func askPassword(ctx context.Context, s streams, stdin bool) ([]byte, error) {
	if stdin {
		b, err := io.ReadAll(io.LimitReader(s.in, maxPasswordLine+1))
		if err != nil {
			return nil, err
		}
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		if len(rest) > 0 || len(b) > maxPasswordLine {
			return nil, errors.New("standard input holds more than one line")
		}
		return bytes.TrimSuffix(line, []byte("\r")), nil
	}
	f, ok := s.in.(*os.File)
	if !ok {
		return nil, errors.New("there is no terminal to ask for a password: use --stdin")
	}
	first, err := readHidden(ctx, f, s.err, "Password: ")
	if err != nil {
		return nil, err
	}
	second, err := readHidden(ctx, f, s.err, "Again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the passwords are not the same")
	}
	return first, nil
}
