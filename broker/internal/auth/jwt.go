package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// JWT says whose JSON Web Tokens (RFC 7519) are accepted as passwords. They
// must be signed with HS256, RS256, ES256 or EdDSA and must end (exp); nbf and
// iat are checked where they are there.
type JWT struct {
	// Keys is a file: a JSON Web Key Set, PEM public keys or certificates, or
	// the secret of HS256 alone, one word of at least 32 characters.
	Keys      string
	UserClaim string // "" is sub
	// Audience must be in aud. With "" aud must be absent: a token that names
	// others is not for us (RFC 7519, 4.1.3).
	Audience string
}

// leeway is how far the clocks of issuer and gateway may be apart.
const leeway = 30 * time.Second

// claims are what a token proves.
type claims struct {
	user    string
	expires time.Time
	by      *key
}

// keys verify tokens; constant after reading.
type keys struct {
	userClaim string
	audience  string
	list      []key
}

// key is one of an issuer's keys, for one algorithm only: a token cannot
// choose to have a public key taken for a secret.
type key struct {
	id        string
	algorithm string
	secret    []byte
	public    crypto.PublicKey
}

var base64URL = base64.RawURLEncoding.Strict()

// looksLikeJWT reports whether a password is three parts of base64 of which
// the first is a JSON object.
func looksLikeJWT(password []byte) bool {
	return bytes.HasPrefix(password, []byte("eyJ")) && bytes.Count(password, []byte(".")) == 2
}

// verify checks signature and times of a compact token.
func (k *keys) verify(token []byte, now time.Time) (c claims, err error) {
	parts := bytes.Split(token, []byte("."))
	if len(parts) != 3 {
		return c, errors.New("not three parts")
	}
	header, err := object(parts[0])
	if err != nil {
		return c, fmt.Errorf("header: %w", err)
	}
	signature, err := base64URL.AppendDecode(nil, parts[2])
	if err != nil {
		return c, errors.New("the signature is no base64url")
	}
	signed := token[:len(parts[0])+1+len(parts[1])]
	by, err := k.signed(header, signed, signature)
	if err != nil {
		return c, err
	}
	body, err := object(parts[1])
	if err != nil {
		return c, fmt.Errorf("claims: %w", err)
	}
	c, err = k.claims(body, now)
	c.by = by
	return c, err
}

// object decodes one part; names are compared byte by byte.
func object(part []byte) (map[string]json.RawMessage, error) {
	text, err := base64URL.AppendDecode(nil, part)
	if err != nil {
		return nil, errors.New("no base64url")
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil || m == nil {
		return nil, errors.New("no JSON object")
	}
	return m, nil
}

// signed finds the key that the header names and that made the signature.
func (k *keys) signed(header map[string]json.RawMessage, text, signature []byte) (*key, error) {
	if _, ok := header["crit"]; ok {
		return nil, errors.New("it asks for extensions (crit)")
	}
	algorithm, ok := plain(header["alg"])
	if !ok {
		return nil, errors.New("no alg")
	}
	id, named := plain(header["kid"])
	tried := false
	for i := range k.list {
		key := &k.list[i]
		if key.algorithm != algorithm || named && key.id != "" && key.id != id {
			continue
		}
		tried = true
		if key.verify(text, signature) {
			return key, nil
		}
	}
	if !tried {
		return nil, errors.New("no key for its kid and alg")
	}
	return nil, errors.New("wrong signature")
}

// plain reads a JSON text; ok is false for everything else. What is not UTF-8
// would be read as U+FFFD, and make one name of two.
func plain(raw json.RawMessage) (s string, ok bool) {
	ok = len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	return s, ok && !strings.ContainsRune(s, utf8.RuneError)
}

// has reports whether a key is still among these, under whatever id.
func (k *keys) has(old *key) bool {
	return slices.ContainsFunc(k.list, func(now key) bool {
		if now.algorithm != old.algorithm || !bytes.Equal(now.secret, old.secret) {
			return false
		}
		public, ok := now.public.(interface{ Equal(crypto.PublicKey) bool })
		return !ok || public.Equal(old.public)
	})
}

func (k *key) verify(text, signature []byte) bool {
	sum := sha256.Sum256(text)
	switch k.algorithm {
	case "HS256":
		h := hmac.New(sha256.New, k.secret)
		h.Write(text)
		return hmac.Equal(h.Sum(nil), signature)
	case "RS256":
		return rsa.VerifyPKCS1v15(k.public.(*rsa.PublicKey), crypto.SHA256, sum[:], signature) == nil
	case "ES256":
		if len(signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(k.public.(*ecdsa.PublicKey), sum[:], r, s)
	case "EdDSA":
		return len(signature) == ed25519.SignatureSize && ed25519.Verify(k.public.(ed25519.PublicKey), text, signature)
	}
	return false
}

// claims reads user and times.
func (k *keys) claims(body map[string]json.RawMessage, now time.Time) (c claims, err error) {
	user, ok := plain(body[k.userClaim])
	if !ok {
		return c, fmt.Errorf("claim %s is missing or no text", k.userClaim)
	}
	c.user = user
	if !k.meant(body["aud"]) {
		return c, errors.New("it is for another audience (aud)")
	}
	expires, ok, err := date(body, "exp")
	switch {
	case err != nil:
		return c, err
	case !ok:
		return c, errors.New("it never ends: exp is missing")
	case !now.Before(expires.Add(leeway)):
		return c, errors.New("it has ended (exp)")
	}
	c.expires = expires.Add(leeway) // so that who is let in is not sent away at once
	for _, name := range []string{"nbf", "iat"} {
		from, ok, err := date(body, name)
		if err != nil {
			return c, err
		}
		if ok && now.Add(leeway).Before(from) {
			return c, fmt.Errorf("it is not valid yet (%s)", name)
		}
	}
	return c, nil
}

// meant reports whether a token with this aud, a text or a list of them, is for
// us.
func (k *keys) meant(aud json.RawMessage) bool {
	if aud == nil || k.audience == "" {
		return aud == nil && k.audience == ""
	}
	one, ok := plain(aud)
	all := []string{one}
	return (ok || json.Unmarshal(aud, &all) == nil) && slices.Contains(all, k.audience)
}

// date reads a NumericDate.
func date(body map[string]json.RawMessage, name string) (t time.Time, ok bool, err error) {
	raw, ok := body[name]
	if !ok {
		return t, false, nil
	}
	var seconds float64
	if len(raw) == 0 || raw[0] == 'n' || json.Unmarshal(raw, &seconds) != nil || math.Abs(seconds) > 1<<40 {
		return t, false, fmt.Errorf("claim %s is no date", name)
	}
	return time.Unix(int64(seconds), 0), true, nil
}
