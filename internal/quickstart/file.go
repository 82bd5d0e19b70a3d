package quickstart

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// FileName is the name of File within the quickstart's directory.
const FileName = "quickstart.json"

// File is what a quickstart tells programs: where everything is. Paths are
// absolute. It holds secrets and is of mode 0600.
type File struct {
	API         string               `json:"api"`
	Devices     string               `json:"devices"`
	HTTP        string               `json:"http"`
	Ops         string               `json:"ops"`
	Tenant      string               `json:"tenant"`
	Token       client.Token         `json:"token"`  // of the tenant's administrator
	TLSCA       string               `json:"tls_ca"` // PEM file that the listeners' certificates verify to
	Root        string               `json:"root"`   // PEM file
	Authorities map[string]Authority `json:"authorities"`
	SCEP        SCEP                 `json:"scep"`
	EST         EST                  `json:"est,omitzero"` // not there in one of before
	Samples     Samples              `json:"samples"`
	Batch       Batch                `json:"batch"`
}

// An Authority is one of the story's issuing authorities.
type Authority struct {
	ID    string   `json:"id"`
	Chain string   `json:"chain"` // PEM file: issuer, then up to the root
	OCSP  string   `json:"ocsp"`
	CRLs  []string `json:"crls"` // of each shard
}

// SCEP is where devices enrol by SCEP, with a challenge that may be used many times.
type SCEP struct {
	URL       string       `json:"url"`
	Challenge client.Token `json:"challenge"`
}

// EST is how a device enrols by EST, at the endpoint that is also its default.
type EST struct {
	Base     string       `json:"base"` // what stands before /.well-known/est/
	Label    string       `json:"label"`
	User     string       `json:"user"` // of HTTP Basic: the id of an enrolment secret
	Password client.Token `json:"password"`
}

// Samples are certificates of the batch, as PEM files.
type Samples struct {
	Good    string `json:"good"`
	Key     string `json:"key"`     // of Good
	Revoked string `json:"revoked"` // of a meter reported stolen
}

// Batch is the story's batch.
type Batch struct {
	ID      string `json:"id"`
	Results string `json:"results"` // file with all results, PEM
}

// Read returns the File of a quickstart's directory.
func Read(dir string) (*File, error) {
	text, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		return nil, err
	}
	f := new(File)
	if err := json.Unmarshal(text, f); err != nil {
		return nil, pki.Because(pki.Malformed, err, "%s is damaged: it is not what 'pando quickstart' writes", filepath.Join(dir, FileName))
	}
	if what := f.lacks(); what != "" {
		return nil, pki.Errorf(pki.Malformed, "%s is damaged: %s is missing; bring it back from a copy, or remove the directory and play anew", filepath.Join(dir, FileName), what)
	}
	return f, nil
}

// lacks names what is not there of what every quickstart has, or "".
func (f *File) lacks() string {
	for _, has := range []struct{ name, value string }{
		{"tenant", f.Tenant}, {"token", f.Token.Reveal()}, {"tls_ca", f.TLSCA}, {"root", f.Root},
	} {
		if has.value == "" {
			return has.name
		}
	}
	for _, has := range []struct{ name, value, scheme string }{
		{"api", f.API, "https"}, {"devices", f.Devices, "https"}, {"http", f.HTTP, "http"}, {"ops", f.Ops, "http"},
	} {
		if u, err := url.Parse(has.value); err != nil || u.Scheme != has.scheme || u.Host == "" {
			return has.name
		}
	}
	for _, a := range authorities {
		if f.Authorities[a.name].Chain == "" {
			return "the chain of " + a.name
		}
	}
	return ""
}

// write stores the File in one step: it is there whole, or not.
func (f *File) write(dir string) error {
	text, err := json.Marshal(f, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	path := filepath.Join(dir, FileName)
	part, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = part.Write(append(text, '\n'))
	if err := errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}
