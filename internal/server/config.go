package server

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// Config is the whole configuration of a server, as it stands in pando.yaml.
// A key that is not listed here is refused. A field that is left out there has the
// default that its comment names; one that is written is taken or refused. In Go
// DefaultConfig has the defaults, and a field at zero is one that is written so.
type Config struct {
	// Data is the directory of everything the server keeps: the database, and
	// files that are not named otherwise. Relative paths of other fields are
	// taken from it. It is set by the flag --data, or is the directory of the
	// configuration file.
	Data string `yaml:"data,omitempty" json:"data"`

	// Node names this server among those of one deployment. Default: "node-1".
	Node string `yaml:"node,omitempty" json:"node"`

	// Listen has the address of each listener.
	Listen Listen `yaml:"listen,omitempty" json:"listen"`

	// Keys says how private keys in the store are sealed.
	Keys Keys `yaml:"keys,omitempty" json:"keys"`

	// TLS says where the listeners' certificates come from.
	TLS TLS `yaml:"tls,omitempty" json:"tls"`

	// EST says how devices enrol by EST (RFC 7030).
	EST EST `yaml:"est,omitempty" json:"est"`

	// SCEP says who checks the challenges of SCEP (RFC 8894) beside pando itself.
	SCEP SCEP `yaml:"scep,omitempty" json:"scep"`

	// Status tunes CRLs and OCSP.
	Status Status `yaml:"status,omitempty" json:"status"`

	// Audit says where the audit log is anchored.
	Audit Audit `yaml:"audit,omitempty" json:"audit"`

	// Retention says how long is kept what nobody needs for ever.
	Retention Retention `yaml:"retention,omitempty" json:"retention"`

	// Limits says how much one tenant and one source may take.
	Limits Limits `yaml:"limits,omitempty" json:"limits"`

	// Log says what is logged, always to standard error.
	Log Log `yaml:"log,omitempty" json:"log"`
}

// Listen has the listeners' addresses, each "host:port"; port 0 takes a free one.
type Listen struct {
	// HTTPS is for people: REST, and later the portal. Default: 127.0.0.1:8443.
	HTTPS string `yaml:"https,omitempty" json:"https"`
	// Devices is for devices, with TLS. Default: 127.0.0.1:8444.
	Devices string `yaml:"devices,omitempty" json:"devices"`
	// HTTP is for what must not need TLS: OCSP, CRLs, CA certificates. Default: 127.0.0.1:8080.
	HTTP string `yaml:"http,omitempty" json:"http"`
	// Ops is for health, readiness and metrics; keep it on loopback. Default: 127.0.0.1:9090.
	Ops string `yaml:"ops,omitempty" json:"ops"`
}

// Keys says how private keys in the store are sealed.
type Keys struct {
	// Encryption is where the deployment's key-encryption key is: "file:PATH"
	// (mode 0600) or "env:NAME", 32 bytes in base64. Default: file:kek.key.
	Encryption string `yaml:"encryption,omitempty" json:"encryption"`
	// Tenants has the key-encryption key of each tenant with its own, in the
	// same form.
	Tenants map[pki.TenantID]string `yaml:"tenants,omitempty" json:"tenants,omitempty"`
}

// TLS says where the listeners' certificates come from.
type TLS struct {
	// Endpoint is the label of the endpoint that issues them, as "demo.tls": a
	// key is made, a certificate asked for, and both renewed at half of
	// its life. Until it is set and works, a self-signed certificate is used
	// and written to bootstrap.pem in the data directory. Default: none.
	Endpoint string `yaml:"endpoint,omitempty" json:"endpoint"`
	// Names are the DNS names and IP addresses of the certificate; the endpoint
	// must authorise them. Default: localhost, 127.0.0.1 and ::1.
	Names []string `yaml:"names,omitempty" json:"names"`
}

// EST says how devices enrol by EST, at the listener devices.
type EST struct {
	// Default is the label of the endpoint that paths without a label mean, as
	// "demo.device" for /.well-known/est/simpleenroll. Default: none.
	Default string `yaml:"default,omitempty" json:"default"`
}

// SCEP says who checks the challenges of SCEP beside pando itself.
type SCEP struct {
	// Validators are services outside that check challenges, of the shape of
	// Microsoft Intune's, for endpoints that name them. Default: none.
	Validators []Validator `yaml:"validators,omitempty" json:"validators,omitempty"`
}

// A Validator is a service that checks challenges, and is told what became of them.
type Validator struct {
	// Name is what endpoints call it: a-z, 0-9 and inner hyphens.
	Name string `yaml:"name" json:"name"`
	// Tenants are those whose endpoints may name it.
	Tenants []pki.TenantID `yaml:"tenants" json:"tenants"`
	// URL is the base of the service. Default: the one that the directory's list of
	// services names.
	URL string `yaml:"url,omitempty" json:"url,omitempty"`
	// Directory is the Microsoft Entra tenant whose Intune it is, as
	// contoso.onmicrosoft.com. Default: none.
	Directory string `yaml:"directory,omitempty" json:"directory,omitempty"`
	// Client is the id of the application that asks, for OAuth 2.0. Default: none;
	// the secret is the bearer token then.
	Client string `yaml:"client,omitempty" json:"client,omitempty"`
	// Secret is where the client's secret is, or the bearer token: file:PATH or
	// env:NAME. Default: none.
	Secret string `yaml:"secret,omitempty" json:"secret,omitempty"`
	// Token is the URL of the OAuth 2.0 token endpoint. Default: the directory's.
	Token string `yaml:"token,omitempty" json:"token,omitempty"`
	// Scope is that of the token for the service. Default: Intune's.
	Scope string `yaml:"scope,omitempty" json:"scope,omitempty"`
	// Discovery is the URL of the list of services. Default: that of Microsoft Graph.
	Discovery string `yaml:"discovery,omitempty" json:"discovery,omitempty"`
	// DiscoveryScope is that of the token for the list. Default: Microsoft Graph's.
	DiscoveryScope string `yaml:"discovery_scope,omitempty" json:"discovery_scope,omitempty"`
	// Networks are the networks, as 10.20.0.0/16, that are asked though they are not
	// of the internet. Default: none.
	Networks []netip.Prefix `yaml:"networks,omitempty" json:"networks,omitempty"`
}

// Status tunes CRLs and OCSP.
type Status struct {
	// CRLLife is how long a CRL is valid, 1h or more; it is made anew before half of
	// it is over. Default: 1d.
	CRLLife Duration `yaml:"crl_life,omitempty" json:"crl_life"`
	// OCSPLife is how long an OCSP response is valid, 5m or more. Default: 12h.
	OCSPLife Duration `yaml:"ocsp_life,omitempty" json:"ocsp_life"`
	// CheckEvery is the time between two rounds of the checker, which looks at
	// status as relying parties do: at the OCSP of each issuer, and at a hundred
	// CRLs. Default: 1m.
	CheckEvery Duration `yaml:"check_every,omitempty" json:"check_every"`
	// CheckNetworks are the networks, as "10.20.0.0/16", that the checker fetches
	// from though they are not of the internet: a tenant says where its status is,
	// and must not have this server look at what is near it. List those in which
	// your status hosts are. Loopback, where it is listed, is for test authorities
	// alone. Default: none.
	CheckNetworks []netip.Prefix `yaml:"check_networks,omitempty" json:"check_networks,omitempty"`
	// Publish lists where CRLs and CA certificates are brought to beside the
	// http listener: directories and buckets, each with a name. Default: none.
	Publish []PublishTarget `yaml:"publish,omitempty" json:"publish,omitempty"`
}

// A PublishTarget is a place that CRLs and CA certificates are brought to: a
// directory or a bucket.
type PublishTarget struct {
	// Name is what alarms and logs call it: a-z, 0-9 and inner hyphens.
	Name string `yaml:"name" json:"name"`
	// Directory is the path of a directory, which must be there.
	Directory string `yaml:"directory,omitempty" json:"directory,omitempty"`
	// Bucket is a bucket of a service that speaks the S3 protocol.
	Bucket *Bucket `yaml:"bucket,omitempty" json:"bucket,omitempty"`
}

// A Bucket says where a bucket is. The service must heed If-None-Match and If-Match
// on PUT.
type Bucket struct {
	// Endpoint is the URL of the service, as "https://s3.example.com".
	Endpoint string `yaml:"endpoint" json:"endpoint"`
	// Bucket is the bucket's name.
	Bucket string `yaml:"bucket" json:"bucket"`
	// Prefix stands before each object's name. Default: none.
	Prefix string `yaml:"prefix,omitempty" json:"prefix,omitempty"`
	// Region is the bucket's. Default: us-east-1.
	Region string `yaml:"region,omitempty" json:"region,omitempty"`
	// Credentials is env, for AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
	// AWS_SESSION_TOKEN, or file:PATH, mode 0600, with lines NAME=VALUE.
	Credentials string `yaml:"credentials" json:"credentials"`
}

// Audit says where the audit log is anchored.
type Audit struct {
	// Anchors are places outside the database that get the signed checkpoints of
	// the audit log. Without one out of reach of whoever can write to the
	// database, its history can be rewritten unseen. Each is one of
	// {file: DIRECTORY}, {webhook: URL, secret: SOURCE, read: true}, where SOURCE
	// is file:PATH or env:NAME and signs what is sent, and read says that the
	// service gives back what it took, and {bucket: ...}, with the fields that a
	// bucket has under status.publish. Default: a directory beside the database,
	// which protects little: name another.
	Anchors []Anchor `yaml:"anchors,omitempty" json:"anchors"`
	// AnchorEvery is how often anchors get a checkpoint at least, while there is
	// something new. Default: 1m.
	AnchorEvery Duration `yaml:"anchor_every,omitempty" json:"anchor_every"`
	// AnchorBound is after how long without an anchor that took a checkpoint
	// issuance stops, until one does. Default: 10m.
	AnchorBound Duration `yaml:"anchor_bound,omitempty" json:"anchor_bound"`
}

// An Anchor is one place for checkpoints: of File, Webhook and Bucket one is set.
type Anchor struct {
	File    string  `yaml:"file,omitempty" json:"file,omitempty"`
	Webhook string  `yaml:"webhook,omitempty" json:"webhook,omitempty"`
	Secret  string  `yaml:"secret,omitempty" json:"secret,omitempty"` // of a webhook
	Read    bool    `yaml:"read,omitempty" json:"read,omitempty"`     // of a webhook
	Bucket  *Bucket `yaml:"bucket,omitempty" json:"bucket,omitempty"`
}

// Retention says how long is kept what nobody needs for ever. Events and the log are
// kept for good, and so are certificates, unless their tenant wants those that have
// expired archived ('pando archive set').
type Retention struct {
	// IdempotencyKeys is for how long a single request can be sent again under
	// its key; after that it is a new one. Default: 30d.
	IdempotencyKeys Duration `yaml:"idempotency_keys,omitempty" json:"idempotency_keys"`
	// BatchRows is how long the uploaded rows of a batch stay after its end. What
	// became of each row stays for good, and the CSR of each that was issued as long as
	// its certificate. Default: 90d.
	BatchRows Duration `yaml:"batch_rows,omitempty" json:"batch_rows"`
	// Archive is where archives of expired certificates are written to: one of
	// {directory: PATH}, which must be there, and {bucket: ...}, with the fields that
	// a bucket has under status.publish. Default: the directory archive beside the
	// database, which is made; name another disk or a bucket.
	Archive Place `yaml:"archive,omitempty" json:"archive"`
}

// A Place is where objects are: of Directory and Bucket one is set.
type Place struct {
	// Directory is the path of a directory.
	Directory string `yaml:"directory,omitempty" json:"directory,omitempty"`
	// Bucket is a bucket of a service that speaks the S3 protocol.
	Bucket *Bucket `yaml:"bucket,omitempty" json:"bucket,omitempty"`
}

// Limits says how much one tenant and one source may take, and how much is under
// way at once. A source is an IPv4 address or an IPv6 /64 network; addresses of
// this machine, a proxy's for instance, are not limited by source.
type Limits struct {
	// Tenant is the rate of requests to the API with credentials of one tenant
	// that has none of its own ('pando tenant set'). An upload of a batch is one
	// request, whatever its length. Default: 10000 a second, 20000 at once.
	Tenant Rate `yaml:"tenant,omitempty" json:"tenant"`
	// Device is the rate of requests to the API with the certificate of one device;
	// they count for its tenant too. Default: 1 a second, 20 at once.
	Device Rate `yaml:"device,omitempty" json:"device"`
	// Failures is the rate of requests of one source that prove nobody; above it
	// they get 429 instead of 401 and are not logged. Default: 10 a second, 100
	// at once.
	Failures Rate `yaml:"failures,omitempty" json:"failures"`
	// Status is the rate of requests of one source for OCSP, CRLs, CA certificates
	// and SCEP. Default: 1000 a second, 5000 at once.
	Status Rate `yaml:"status,omitempty" json:"status"`
	// Requests bounds the requests to the API that are under way at once; one
	// more gets 503 at once. A tenant has a quarter of them, and so has the
	// platform. Default: 1024.
	Requests int `yaml:"requests,omitempty" json:"requests"`
	// Streams is the same for uploads, watches and results, which last.
	// Default: 256.
	Streams int `yaml:"streams,omitempty" json:"streams"`
	// Answers is the same for OCSP, CRLs and CA certificates; a source has a
	// sixteenth of them. Default: 2048.
	Answers int `yaml:"answers,omitempty" json:"answers"`
	// Messages is the same for SCEP. Default: 512.
	Messages int `yaml:"messages,omitempty" json:"messages"`
	// Connections bounds the open connections of each listener; one more is
	// closed before TLS. Default: 16384.
	Connections int `yaml:"connections,omitempty" json:"connections"`
	// ConnectionsPerSource is the same for one source. Default: 1024.
	ConnectionsPerSource int `yaml:"connections_per_source,omitempty" json:"connections_per_source"`
}

// A Rate is of requests.
type Rate struct {
	// PerSecond is how many in the long run.
	PerSecond int `yaml:"per_second,omitempty" json:"per_second"`
	// Burst is how many at once.
	Burst int `yaml:"burst,omitempty" json:"burst"`
}

// Log says what is logged.
type Log struct {
	// Level is debug, info, warn or error. Default: info.
	Level string `yaml:"level,omitempty" json:"level"`
	// Format is text or json. Default: text.
	Format string `yaml:"format,omitempty" json:"format"`
}

// A Duration is written as pki.ParseDuration reads it, for instance "30d" or "15m".
type Duration time.Duration

// MarshalText writes the duration as UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(pki.FormatDuration(time.Duration(d))), nil
}

// UnmarshalText reads a positive duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := pki.ParseDuration(string(text))
	if err != nil {
		return err
	}
	if v == 0 {
		return pki.Errorf(pki.Malformed, "%.40q: a time of nothing does not work here", text)
	}
	*d = Duration(v)
	return nil
}

// UnmarshalYAML reads a positive duration; what is wrong is told with line and
// caret.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	if err := d.UnmarshalText([]byte(node.GetToken().Value)); err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
	}
	return nil
}

// UnmarshalYAML reads a place that is written, of which nothing is left of the default:
// a bucket is instead of its directory.
func (p *Place) UnmarshalYAML(node ast.Node) error {
	type fields Place
	var written fields
	if err := yaml.NodeToValue(node, &written, yaml.Strict()); err != nil {
		return err
	}
	*p = Place(written)
	return nil
}

// DefaultConfig returns the default of each field, of which Data has none.
func DefaultConfig() Config {
	const day = Duration(24 * time.Hour)
	return Config{
		Node:   "node-1",
		Listen: Listen{HTTPS: "127.0.0.1:8443", Devices: "127.0.0.1:8444", HTTP: "127.0.0.1:8080", Ops: "127.0.0.1:9090"},
		Keys:   Keys{Encryption: "file:kek.key"},
		TLS:    TLS{Names: []string{"localhost", "127.0.0.1", "::1"}},
		Status: Status{CRLLife: day, OCSPLife: day / 2, CheckEvery: Duration(time.Minute)},
		Audit: Audit{
			Anchors: []Anchor{{File: "anchor"}}, AnchorEvery: Duration(time.Minute), AnchorBound: Duration(10 * time.Minute),
		},
		Retention: Retention{IdempotencyKeys: 30 * day, BatchRows: 90 * day, Archive: Place{Directory: defaultArchive}},
		Limits: Limits{
			Tenant: Rate{PerSecond: 10_000, Burst: 20_000}, Device: Rate{PerSecond: 1, Burst: 20},
			Failures: Rate{PerSecond: 10, Burst: 100}, Status: Rate{PerSecond: 1000, Burst: 5000},
			Requests: 1024, Streams: 256, Answers: 2048, Messages: 512,
			Connections: 16_384, ConnectionsPerSource: 1024,
		},
		Log: Log{Level: "info", Format: "text"},
	}
}

// minCRLLife is the shortest life of a CRL. A delta has a quarter of it, and its
// thisUpdate is five minutes before the signing: one of less than eight minutes would
// be renewed at once, each second.
const minCRLLife = time.Hour

// minOCSPLife is the shortest life of an OCSP response: with less of it, a relying party
// whose clock is as far ahead as revocation.Backdate lets one be late has none that is valid.
const minOCSPLife = revocation.Backdate

// Check reports what of a configuration no server can run with,
// as far as that can be told without looking at the machine: whether a key is
// there or an address is free shows when a server starts. The error is Malformed
// and names the field.
func (c Config) Check() error {
	if c.Node == "" {
		return pki.Errorf(pki.Malformed, "node: name this server, as node-1")
	}
	for _, l := range []struct{ name, address string }{
		{"https", c.Listen.HTTPS}, {"devices", c.Listen.Devices}, {"http", c.Listen.HTTP}, {"ops", c.Listen.Ops},
	} {
		if err := checkAddress(l.address); err != nil {
			return pki.Errorf(pki.Malformed, "listen.%s %.60q: write HOST:PORT, as 127.0.0.1:8443", l.name, l.address)
		}
	}
	if err := checkKeySource("keys.encryption", c.Keys.Encryption); err != nil {
		return err
	}
	for tenant, source := range c.Keys.Tenants {
		if err := pki.CheckSlug("keys.tenants", string(tenant)); err != nil {
			return err
		}
		if err := checkKeySource("keys.tenants."+string(tenant), source); err != nil {
			return err
		}
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	if len(c.TLS.Names) == 0 {
		return pki.Errorf(pki.Malformed, "tls.names: list at least one DNS name or IP address that the listeners are reached at")
	}
	if err := checkLabel(c.TLS.Endpoint); c.TLS.Endpoint != "" && err != nil {
		return pki.Errorf(pki.Malformed, "tls.endpoint %.90q: write the label {tenant}.{name}, as demo.tls", c.TLS.Endpoint)
	}
	if err := checkLabel(c.EST.Default); c.EST.Default != "" && err != nil {
		return pki.Errorf(pki.Malformed, "est.default %.90q: write the label {tenant}.{name}, as demo.device", c.EST.Default)
	}
	if life := time.Duration(c.Status.CRLLife); life < minCRLLife {
		return pki.Errorf(pki.Malformed, "status.crl_life %s: 1h at least, or a delta CRL would be due again as soon as it is made", life)
	}
	if life := time.Duration(c.Status.OCSPLife); life < minOCSPLife {
		return pki.Errorf(pki.Malformed, "status.ocsp_life %s: 5m at least, as far as the clocks of those who ask may be wrong", life)
	}
	for _, d := range []struct {
		name string
		d    Duration
	}{
		{"status.check_every", c.Status.CheckEvery},
		{"retention.idempotency_keys", c.Retention.IdempotencyKeys}, {"retention.batch_rows", c.Retention.BatchRows},
	} {
		if d.d <= 0 {
			return pki.Errorf(pki.Malformed, "%s: a time of nothing does not work here", d.name)
		}
	}
	if err := c.SCEP.check(); err != nil {
		return err
	}
	if err := c.checkPublish(); err != nil {
		return err
	}
	if err := c.Audit.check(); err != nil {
		return err
	}
	if err := c.checkArchive(); err != nil {
		return err
	}
	_, err := NewLogger(c.Log)
	return err
}

func (l Limits) check() error {
	for name, n := range map[string]int{
		"tenant.per_second": l.Tenant.PerSecond, "tenant.burst": l.Tenant.Burst,
		"device.per_second": l.Device.PerSecond, "device.burst": l.Device.Burst,
		"failures.per_second": l.Failures.PerSecond, "failures.burst": l.Failures.Burst,
		"status.per_second": l.Status.PerSecond, "status.burst": l.Status.Burst,
		"requests": l.Requests, "streams": l.Streams, "answers": l.Answers, "messages": l.Messages,
		"connections": l.Connections, "connections_per_source": l.ConnectionsPerSource,
	} {
		if n < 1 || n > 1_000_000 {
			return pki.Errorf(pki.Malformed, "limits.%s %d: from 1 to 1000000", name, n)
		}
	}
	return nil
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	_, err = net.LookupPort("tcp", port)
	return err
}

// checkKeySource does not repeat what was given: it may be the key itself.
func checkKeySource(field, source string) error {
	from, name, _ := strings.Cut(source, ":")
	if from != "file" && from != "env" || name == "" {
		return pki.Errorf(pki.Malformed, "%s: a key-encryption key comes from file:PATH or env:NAME", field)
	}
	return nil
}

func checkLabel(label string) error {
	tenant, name, _ := strings.Cut(label, ".")
	return errors.Join(pki.CheckSlug("tenant", tenant), pki.CheckSlug("endpoint", name))
}

// KeySource returns where a key-encryption key is, of the form that Keys has, with
// a relative file taken from the data directory.
func (c Config) KeySource(source string) string {
	path, ok := strings.CutPrefix(source, "file:")
	if !ok || filepath.IsAbs(path) {
		return source
	}
	return "file:" + filepath.Join(c.Data, path)
}

// Database returns the path of the embedded database.
func (c Config) Database() string { return filepath.Join(c.Data, "pando.db") }

// Spool returns the directory of uploads that have to be kept while they are read.
func (c Config) Spool() string { return filepath.Join(c.Data, "spool") }
