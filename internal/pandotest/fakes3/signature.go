package fakes3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// skew is how far the time of a request may lie from ours.
const skew = 15 * time.Minute

const dateForm = "20060102T150405Z"

// payloadHash is the header with the hash of the body, which must be in the signature.
const payloadHash = "X-Amz-Content-Sha256"

// verify checks the Authorization header of a request to S3, AWS Signature Version
// 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
// It returns the code of a refusal, or "".
func verify(r *http.Request, id, secret, region string, now time.Time) (refused string) {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return "AccessDenied"
	}
	fields := make(map[string]string)
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(dateForm, date)
	if err != nil {
		return "AccessDenied"
	}
	scope := date[:8] + "/" + region + "/s3/aws4_request"
	who, where, _ := strings.Cut(fields["Credential"], "/")
	signed := strings.Split(fields["SignedHeaders"], ";")
	switch {
	case where != scope:
		return "AuthorizationHeaderMalformed"
	case who != id:
		return "InvalidAccessKeyId"
	case at.Sub(now).Abs() > skew:
		return "RequestTimeTooSkewed"
	}
	for _, needed := range []string{"host", strings.ToLower(payloadHash), "x-amz-date"} {
		if !slices.Contains(signed, needed) {
			return "AccessDenied"
		}
	}
	want := signature(canonical(r, signed, r.Header.Get(payloadHash)), date, scope, secret)
	if !hmac.Equal([]byte(want), []byte(fields["Signature"])) {
		return "SignatureDoesNotMatch"
	}
	return ""
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
