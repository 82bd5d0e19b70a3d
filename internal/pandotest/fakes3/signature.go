package fakes3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// skew is how far the time of a request may lie from ours.
const skew = 15 * time.Minute

const dateForm = "20060102T150405Z"

// verify checks the Authorization header of a request to S3, AWS Signature Version
// 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
// The hash of the body must be in the signature.
func verify(r *http.Request, body []byte, id, secret, region string, now time.Time) error {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return errors.New("no signature of version 4")
	}
	fields := make(map[string]string)
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(dateForm, date)
	if err != nil || at.Sub(now).Abs() > skew {
		return errors.New("the time of the request is not now")
	}
	scope := date[:8] + "/" + region + "/s3/aws4_request"
	if fields["Credential"] != id+"/"+scope {
		return errors.New("other credentials, or another scope")
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if payload != hashOf(body) {
		return errors.New("the body is not what was signed")
	}
	signed := strings.Split(fields["SignedHeaders"], ";")
	for _, needed := range []string{"host", "x-amz-content-sha256", "x-amz-date"} {
		if !slices.Contains(signed, needed) {
			return errors.New("a header is not signed")
		}
	}
	want := signature(canonical(r, signed, payload), date, scope, secret)
	if !hmac.Equal([]byte(want), []byte(fields["Signature"])) {
		return errors.New("the signature does not match")
	}
	return nil
}

// canonical returns the canonical request, of one without a query.
func canonical(r *http.Request, signed []string, payload string) string {
	var headers strings.Builder
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = r.Header.Get("Content-Length")
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	return strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), strings.Join(signed, ";"), payload}, "\n")
}

func signature(canonical, date, scope, secret string) string {
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, hashOf([]byte(canonical))}, "\n")))
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
