package broker

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/auth"
)

// The Authenticator of dunlin: users files, tokens, certificates, rules.
type (
	// Auth is an Authenticator made by NewAuth.
	Auth = auth.Auth
	// AuthOptions say who may connect and what they may do.
	AuthOptions = auth.Options
	// AuthListener is what one listener has of its own.
	AuthListener = auth.Listener
	// AuthRule says what users may do.
	AuthRule = auth.Rule
	// AuthJWT says whose tokens are accepted.
	AuthJWT = auth.JWT
	// AuthFault is one mistake in a users, key or ACL file, at its line.
	AuthFault = auth.Fault
	// AuthFaults are the mistakes of a file.
	AuthFaults = auth.Faults
	// UsersText is a users file to be changed.
	UsersText = auth.UsersText
	// HashCost is what argon2id takes for one password.
	HashCost = auth.Cost
)

// NewAuth reads the files that the options name. The error holds AuthFaults
// for what is wrong in them.
func NewAuth(o AuthOptions) (*Auth, error) { return auth.New(o) }

// ParseUsersText reads a users file for changing.
func ParseUsersText(file string, b []byte) (*UsersText, error) { return auth.ParseUsersText(file, b) }

// CheckUsers reports the mistakes of a users file as AuthFaults.
func CheckUsers(file string, b []byte) error { return auth.CheckUsers(file, b) }

// DefaultHashCost fits a machine with so much memory in bytes; 0 is not known.
func DefaultHashCost(memory int64) HashCost { return auth.DefaultCost(memory) }

// CalibrateHash returns the cost at which a password takes about target here.
func CalibrateHash(c HashCost, target time.Duration) HashCost { return c.Calibrate(target) }

// HashPassword returns what a users file keeps of a password: argon2id.
func HashPassword(password []byte, c HashCost) (string, error) { return auth.HashPassword(password, c) }

// HashForMosquitto is HashPassword in a format that mosquitto 2.0 reads.
func HashForMosquitto(password []byte) (string, error) { return auth.HashForMosquitto(password) }

// SCRAMVerifiers returns what a users file keeps of a password for
// SCRAM-SHA-256 and SCRAM-SHA-512.
func SCRAMVerifiers(password []byte) ([]string, error) { return auth.SCRAMVerifiers(password) }

// NewToken makes a token, to be used as a password, and what a users file
// keeps of it.
func NewToken() (token, hash string) { return auth.NewToken() }
