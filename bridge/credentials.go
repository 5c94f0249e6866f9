package bridge

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// login is what CONNECT carries besides what the options say.
type login struct {
	bridge             bool          // the bridge bit of 3.x
	clean              bool          // no session before and after
	plainWill          bool          // of QoS 0 and not retained
	will               *mqtt.Message // of a node of Sparkplug; nil: there is none
	username, password string
	until              time.Time // when it ends to be valid; zero: never
}

// login makes what to sign in at host with.
func (o *Options) login(host string, now time.Time) (login, error) {
	l := login{username: o.Profile.username(o, host), password: o.Password}
	if o.Signer == nil {
		return l, nil
	}
	var err error
	if l.password, l.until, err = o.Signer(host, now); err != nil {
		return l, failf(ClassAuth, "sign in: %w", err)
	}
	return l, nil
}

// A Signer makes the password for a connection that begins at now. host is the
// server's. until is when it ends to be valid; the bridge reconnects before
// that.
type Signer func(host string, now time.Time) (password string, until time.Time, err error)

// azureIdentity is what stands behind devices/ in the resources and topics of Azure
// IoT Hub: a module signs in as device/module, and is device/modules/module there
// ("Using the MQTT protocol directly, as a module").
func azureIdentity(clientID string) string { return strings.Replace(clientID, "/", "/modules/", 1) }

// SAS signs shared access signatures of Azure for the device clientID, or the
// module device/module, with its key, base64 as the portal shows it ("Control access to IoT Hub with shared
// access signatures"). They are valid for ttl; default 1 h.
func SAS(clientID, key string, ttl time.Duration) (Signer, error) {
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(secret) == 0 {
		return nil, errors.New("sas: the key is not in base64") // it is not shown
	}
	if ttl == 0 {
		ttl = time.Hour
	}
	return func(host string, now time.Time) (string, time.Time, error) {
		until := now.Add(ttl)
		resource := url.QueryEscape(host + "/devices/" + azureIdentity(clientID))
		expiry := strconv.FormatInt(until.Unix(), 10)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(resource + "\n" + expiry)) // never fails
		signature := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		return "SharedAccessSignature sr=" + resource + "&sig=" + url.QueryEscape(signature) + "&se=" + expiry, until, nil
	}, nil
}

// Claims are what a minted token says besides its times; empty ones are left
// out.
type Claims struct{ Audience, Subject, Issuer string }

// JWT mints JSON Web Tokens (RFC 7519) with the private key in a PEM file's
// content: RS256 for RSA, ES256 for P-256. They are valid for ttl; default 1 h.
func JWT(key []byte, c Claims, ttl time.Duration) (Signer, error) {
	signer, alg, err := parseSigner(key)
	if err != nil {
		return nil, err
	}
	if ttl == 0 {
		ttl = time.Hour
	}
	fixed := ""
	for _, claim := range [][2]string{{"aud", c.Audience}, {"sub", c.Subject}, {"iss", c.Issuer}} {
		if strings.ContainsFunc(claim[1], func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
			return nil, fmt.Errorf("jwt: %s %q would need escapes", claim[0], claim[1])
		}
		if claim[1] != "" {
			fixed += `,"` + claim[0] + `":"` + claim[1] + `"`
		}
	}
	text := base64.RawURLEncoding.EncodeToString
	return func(_ string, now time.Time) (string, time.Time, error) {
		until := now.Add(ttl)
		body := fmt.Sprintf(`{"iat":%d,"exp":%d%s}`, now.Unix(), until.Unix(), fixed)
		input := text([]byte(`{"alg":"`+alg+`","typ":"JWT"}`)) + "." + text([]byte(body))
		signature, err := signToken(signer, input)
		return input + "." + text(signature), until, err
	}, nil
}

func parseSigner(b []byte) (crypto.Signer, string, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, "", errors.New("jwt: the key is not in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, "", fmt.Errorf("jwt: key: %w", err)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k, "RS256", nil
	case *ecdsa.PrivateKey:
		if k.Curve.Params().BitSize == 256 {
			return k, "ES256", nil
		}
	}
	return nil, "", errors.New("jwt: the key is neither RSA nor ECDSA on P-256")
}

// signToken signs as RFC 7518, 3.3 and 3.4: an ECDSA signature is its two
// numbers, 32 bytes each.
func signToken(s crypto.Signer, input string) ([]byte, error) {
	sum := sha256.Sum256([]byte(input))
	if k, ok := s.(*ecdsa.PrivateKey); ok {
		r, t, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		t.FillBytes(out[32:])
		return out, nil
	}
	return s.Sign(rand.Reader, sum[:], crypto.SHA256)
}
