package cli

import (
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/certdump"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/specimen"
	"github.com/pando-pki/pando/internal/tbs"
)

// profileTry is "pando profile test".
type profileTry struct {
	File string `arg:"" help:"The document; - is standard input."`

	CSR        string            `placeholder:"FILE" help:"Request to answer, as PEM (default: one with a throw-away key)."`
	Key        string            `placeholder:"KIND" help:"Kind of the throw-away key, as p256 (default: the profile's first)."`
	CommonName string            `name:"cn" placeholder:"NAME" help:"Common name that the throw-away request asks for, and that of an authority where the profile is for one."`
	DNS        []string          `name:"dns" placeholder:"NAME" help:"DNS name that the throw-away request asks for."`
	URI        []string          `name:"uri" placeholder:"URI" help:"URI that it asks for."`
	IP         []string          `name:"ip" placeholder:"ADDRESS" help:"IP address that it asks for."`
	Device     string            `placeholder:"ID" default:"SAMPLE-0001" help:"The device (default: ${default})."`
	Line       string            `name:"product-line" placeholder:"NAME" help:"Its product line."`
	Lot        string            `placeholder:"NAME" help:"Its lot."`
	Site       string            `placeholder:"NAME" help:"Its site."`
	Attribute  map[string]string `placeholder:"NAME=VALUE" help:"Attribute of the request; may be repeated."`
	Requester  string            `placeholder:"ID" default:"token:sample" help:"Who asks (default: ${default})."`
	Role       string            `placeholder:"ROLE" default:"factory-operator" help:"In which role (default: ${default})."`
	Endpoint   string            `placeholder:"LABEL" default:"sample.endpoint" help:"Where (default: ${default})."`
	Owner      string            `name:"organization" placeholder:"NAME" default:"Sample Organization" help:"Organization of the tenant (default: ${default})."`
	AtMost     int               `placeholder:"BYTES" help:"Fail where the certificate is larger, since what stores it has no room."`
	Out        string            `placeholder:"FILE" help:"Write the certificate to this new file, as PEM."`
}

func (profileTry) Help() string {
	return `Issues a certificate for a sample request under a throw-away authority, and prints all that is in it with its size. Nothing is stored, no server is asked, and the certificate verifies to nothing. A request that the profile refuses is refused as it would be in earnest.

The names that the sample asks for count as authorised for its endpoint.

Examples:

    pando profile test meter.yaml --device SM-000001
    pando profile test tls-server.yaml --cn head.example.com --dns head.example.com
    pando profile test idevid.yaml --csr device.csr --attribute hw=00124b0001020304 --at-most 600`
}

// tried is the result of "pando profile test".
type tried struct {
	Certificate string `json:"certificate"` // PEM
	Request     string `json:"request"`     // PEM
	Bytes       int    `json:"bytes"`       // of DER
	Dump        string `json:"dump"`

	Approvals string           `json:"approvals,omitempty"` // whose an enrolment waits for; absent where it needs nobody's
	Warnings  []policy.Finding `json:"warnings"`            // of zlint
}

// Run issues the specimen.
func (p *profileTry) Run(c *console) error {
	source, err := c.readInput(p.File, maxProfile)
	if err != nil {
		return err
	}
	profile, err := policy.Parse(source)
	if err != nil {
		return fmt.Errorf("%s: %w", p.File, err)
	}
	cfg, err := p.config(c, profile)
	if err != nil {
		return err
	}
	made, err := specimen.Issue(*cfg)
	if strings.Contains(pki.DetailOf(err), "which is absent") {
		return hintf(err, "the sample has what --cn, --dns, --uri, --ip, --device and --attribute say, or --csr")
	}
	if err != nil {
		return err
	}
	dump, err := certdump.Text(made.Certificate)
	if err != nil {
		return err
	}
	got := tried{
		Certificate: pemOf("CERTIFICATE", made.Certificate), Request: pemOf("CERTIFICATE REQUEST", made.Request),
		Bytes: len(made.Certificate), Dump: dump, Warnings: append([]policy.Finding{}, made.Warnings...),
	}
	if rule := profile.Approvals(); rule != nil {
		got.Approvals = rule.String()
	}
	if p.AtMost > 0 && got.Bytes > p.AtMost {
		return pki.Errorf(pki.PolicyRefused, "the certificate has %d bytes, more than %d:\n%s", got.Bytes, p.AtMost, dump)
	}
	if p.Out != "" {
		if err := c.writeOutput(p.Out, []byte(got.Certificate)); err != nil {
			return err
		}
	}
	return c.result(got, func(w io.Writer) error {
		fmt.Fprintf(w, "%ssize: %d bytes in DER, %d in PEM\n", dump, got.Bytes, len(got.Certificate))
		if got.Approvals != "" {
			fmt.Fprintf(w, "approvals: %s\n", got.Approvals)
		}
		return writeFindings(w, got.Warnings)
	})
}

func pemOf(kind string, b []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
}

// config returns what the specimen is made for.
func (p *profileTry) config(c *console, profile *policy.Profile) (*specimen.Config, error) {
	cfg := &specimen.Config{
		Profile: profile, KeyKind: pki.KeyKind(p.Key),
		Input: policy.Input{
			Tenant: "sample", Organization: p.Owner, Endpoint: p.Endpoint, Protocol: pki.ProtocolREST, Device: pki.DeviceID(p.Device),
			Placement:  pki.Placement{ProductLine: p.Line, Lot: p.Lot, Site: p.Site},
			CommonName: p.CommonName, // of what the server makes for itself: authorities, OCSP responders, SCEP's keys
			Requester:  policy.Requester{ID: p.Requester, Role: p.Role}, Attributes: p.Attribute, Now: time.Now(),
		},
	}
	if p.CommonName != "" {
		cfg.Subject = tbs.Name{{OID: der.OIDCommonName, Value: p.CommonName}}
	}
	for _, k := range [...]struct {
		kind  tbs.GeneralNameKind
		texts []string
	}{{tbs.DNSName, p.DNS}, {tbs.URI, p.URI}, {tbs.IPAddress, p.IP}} {
		for _, text := range k.texts {
			cfg.Names = append(cfg.Names, tbs.GeneralName{Kind: k.kind, Text: text})
		}
	}
	asked, cn := cfg.Names, p.CommonName
	if p.CSR != "" {
		request, err := c.readPEM(p.CSR, "CERTIFICATE REQUEST", tbs.MaxCSR*2)
		if err != nil {
			return nil, err
		}
		if cfg.Input.CSR, err = tbs.ParseCSR(request); err != nil {
			return nil, err
		}
		if err := cfg.Input.CSR.CheckProof(); err != nil {
			return nil, err
		}
		asked, cn = cfg.Input.CSR.Names, cfg.Input.CSR.Subject.Get(der.OIDCommonName)
	}
	cfg.Input.Names = authorised(asked, cn)
	return cfg, nil
}

// authorised returns names of an endpoint that cover the given ones.
func authorised(asked []tbs.GeneralName, cn string) pki.Names {
	names := pki.Names{DNS: []string{cn}}
	for _, n := range asked {
		switch n.Kind {
		case tbs.DNSName:
			names.DNS = append(names.DNS, n.Text)
		case tbs.URI:
			names.URI = append(names.URI, n.Text)
		case tbs.IPAddress:
			bits := "/32"
			if strings.Contains(n.Text, ":") {
				bits = "/128"
			}
			names.IP = append(names.IP, n.Text+bits)
		}
	}
	return names
}
