package listen

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ocspResponse is OCSPResponse of RFC 6960, 4.2.1.
type ocspResponse struct {
	Status asn1.Enumerated
	Bytes  struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	} `asn1:"explicit,tag:0,optional"`
}

// basicOCSP is BasicOCSPResponse as far as a server that only passes it on
// must know it: clients check the signature.
type basicOCSP struct {
	Data struct {
		Version     int `asn1:"optional,default:0,explicit,tag:0"`
		ResponderID asn1.RawValue
		ProducedAt  time.Time `asn1:"generalized"`
		Responses   []struct {
			CertID struct {
				Algorithm         asn1.RawValue
				NameHash, KeyHash []byte
				Serial            *big.Int
			}
			Status     asn1.RawValue
			ThisUpdate time.Time     `asn1:"generalized"`
			NextUpdate time.Time     `asn1:"generalized,explicit,tag:0,optional"`
			Extensions asn1.RawValue `asn1:"explicit,tag:1,optional"`
		}
		Extensions asn1.RawValue `asn1:"explicit,tag:1,optional"`
	}
	Algorithm    asn1.RawValue
	Signature    asn1.BitString
	Certificates asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

// revokedStatus is the tag of CertStatus for a certificate that is revoked.
const revokedStatus = 1

// checkStaple returns until when a response can be stapled, zero for ever, and
// whether it says that the certificate is revoked. An error says why it must
// not be stapled: it is none, it is about another certificate, or too old, so
// that clients would refuse it.
func checkStaple(der []byte, serial *big.Int, now time.Time) (until time.Time, revoked bool, err error) {
	var r ocspResponse
	if rest, err := asn1.Unmarshal(der, &r); err != nil || len(rest) > 0 {
		return until, false, errors.New("not an OCSP response in DER form")
	}
	if r.Status != 0 {
		return until, false, fmt.Errorf("the responder answered with status %d", r.Status)
	}
	var b basicOCSP
	if _, err := asn1.Unmarshal(r.Bytes.Response, &b); err != nil || len(b.Data.Responses) == 0 {
		return until, false, errors.New("not a basic OCSP response")
	}
	for _, one := range b.Data.Responses {
		if one.CertID.Serial.Cmp(serial) != 0 {
			continue
		}
		if !one.NextUpdate.IsZero() && now.After(one.NextUpdate) {
			return until, false, fmt.Errorf("out of date since %s", one.NextUpdate.UTC().Format(time.RFC3339))
		}
		return one.NextUpdate, one.Status.Tag == revokedStatus, nil
	}
	return until, false, errors.New("it is about another certificate")
}
