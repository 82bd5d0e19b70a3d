// Package quickstart plays the reference story: a smart meter maker's PKI, from
// an empty directory to a verified batch of meter certificates. It goes the ways
// that people go: the ceremony's files, the REST API, the plant's batch.
//
// Its directory holds three places that are three machines in earnest: server/,
// the deployment's data; ceremony/, the offline root; plant/, the maker's server.
package quickstart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/server"
	"github.com/pando-pki/pando/internal/simulate"
)

// Config is what a quickstart is made of.
type Config struct {
	Dir     string        // made where it is not there
	Listen  server.Listen // "" fields are those of the server's file, of the run before, or the defaults
	Batch   int           // meters of the story's batch, MinBatch at least
	Version string
	Log     *slog.Logger                                     // unless the server's file says otherwise
	Step    func(format string, args ...any)                 // told at each step
	Working func(stage string, done, of int64, rate float64) // told within a long one
	Ready   func(f *File, fresh bool) error                  // told when all is served
	Exit    bool                                             // stop after Ready
}

// MinBatch is the smallest batch: one meter is shown, another is stolen.
const MinBatch = 2

// MaxBatch is the largest.
const MaxBatch = simulate.MaxDevices

// ServerDir and the others are the places within a quickstart's directory.
const (
	ServerDir   = "server"
	ceremonyDir = "ceremony"
	plantDir    = "plant"
)

// Run plays the story, or takes up the directory of an earlier run, and serves
// until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	began := time.Now()
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return err
	}
	cfg.Dir = dir
	if cfg.Batch < MinBatch || cfg.Batch > MaxBatch {
		return pki.Errorf(pki.Malformed, "a batch of %d: the story takes %d to %d meters", cfg.Batch, MinBatch, MaxBatch)
	}
	file, err := Read(dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		err = prepare(cfg)
	}
	if err != nil {
		return err
	}
	configured, err := cfg.configuration(file)
	if err != nil {
		return err
	}
	srv, err := server.New(ctx, configured, cfg.Version, cfg.Log)
	if err != nil {
		if fresh { // nothing is in them yet: the next run may begin anew
			err = errors.Join(err, discard(cfg))
		}
		return err
	}
	if !fresh {
		if err := file.servedAt(srv); err != nil {
			return errors.Join(err, srv.Close())
		}
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(serving) }()

	told := func() error {
		if fresh {
			if file, err = play(ctx, cfg, srv); err != nil {
				err = errors.Join(ctx.Err(), err) // where it is interrupted a server that ends may refuse a step
				return fmt.Errorf("%w (the story is not finished: remove %s and run again)", err, dir)
			}
			cfg.Step("ready after %.1f s", time.Since(began).Seconds())
		} else if err := take(file, srv, dir); err != nil {
			return err
		}
		return cfg.Ready(file, fresh)
	}
	err = told()
	if err != nil || cfg.Exit {
		stop()
	}
	return errors.Join(err, <-ended)
}

// configuration reads the server's configuration, which is that of its file: addresses
// are those that are asked for, else the file's, else those of the run before, whose
// File is had, nil for none.
func (cfg *Config) configuration(had *File) (server.Config, error) {
	data := filepath.Join(cfg.Dir, ServerDir)
	path := filepath.Join(data, server.ConfigName)
	base := server.DefaultConfig()
	before := base.Listen
	if had != nil {
		before = had.addresses()
	}
	base.Listen, base.Log.Level = before, "warn" // the story's log is in the terminal
	c, err := server.ReadConfig(path, base)
	if err != nil {
		return c, err
	}
	if c.Data != "" {
		return c, pki.Errorf(pki.Conflict, "%s names a data directory: a quickstart's is %s, so take data out, or serve the other with 'pando serve --config'", path, data)
	}
	c.Data = data
	for _, a := range []struct {
		field         *string
		asked, before string
	}{
		{&c.Listen.HTTPS, cfg.Listen.HTTPS, before.HTTPS}, {&c.Listen.Devices, cfg.Listen.Devices, before.Devices},
		{&c.Listen.HTTP, cfg.Listen.HTTP, before.HTTP}, {&c.Listen.Ops, cfg.Listen.Ops, before.Ops},
	} {
		switch {
		case a.asked != "":
			*a.field = a.asked
		case had != nil && strings.HasSuffix(*a.field, ":0"): // a free port is taken once
			*a.field = a.before
		}
	}
	if c.Log != base.Log {
		cfg.Log, err = server.NewLogger(c.Log)
	}
	return c, err
}

// server returns the server's configuration but for its directory. All that is in the
// story is on one machine, so the checker may look at that.
func (cfg Config) server() server.Config {
	return server.Config{Listen: cfg.Listen, TLS: server.TLS{Endpoint: tenant + ".tls"}, EST: server.EST{Default: tenant + "." + estEndpoint},
		Status: server.Status{CheckNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}}
}

// prepare makes the directory with what a server needs before its first start.
func prepare(cfg Config) error {
	if entries, err := os.ReadDir(cfg.Dir); err == nil && len(entries) > 0 {
		return pki.Errorf(pki.Conflict, "%s is neither empty nor that of a quickstart that came to its end: remove it, or name another with --data", cfg.Dir)
	}
	for _, name := range []string{ServerDir, ceremonyDir, plantDir} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, name), 0o700); err != nil {
			return err
		}
	}
	data := filepath.Join(cfg.Dir, ServerDir)
	if _, err := soft.CreateKEK(filepath.Join(data, "kek.key")); err != nil {
		return err
	}
	text, err := yaml.Marshal(cfg.server())
	if err != nil {
		return err
	}
	const comment = "# The server of 'pando quickstart', for 'pando serve --data' and 'pando check --data'.\n"
	return os.WriteFile(filepath.Join(data, server.ConfigName), append([]byte(comment), text...), 0o600)
}

// discard removes what prepare made.
func discard(cfg Config) error {
	var errs []error
	for _, name := range []string{ServerDir, ceremonyDir, plantDir} {
		errs = append(errs, os.RemoveAll(filepath.Join(cfg.Dir, name)))
	}
	return errors.Join(errs...)
}

// addresses returns those of the run that wrote the File.
func (f *File) addresses() server.Listen {
	l := server.DefaultConfig().Listen
	for _, way := range []struct {
		field *string
		had   string
	}{
		{&l.HTTPS, f.API}, {&l.Devices, f.Devices}, {&l.HTTP, f.HTTP}, {&l.Ops, f.Ops},
	} {
		if u, err := url.Parse(way.had); err == nil && u.Host != "" {
			*way.field = u.Host
		}
	}
	return l
}

// servedAt returns an error where the server is not at the status URLs in the
// certificates, which are for life: they would be left unanswered.
func (f *File) servedAt(srv *server.Server) error {
	if f.HTTP != srv.URL("http") {
		return pki.Errorf(pki.Conflict, "the certificates of this quickstart name %s for their status: run it with --http %s, or in a new directory", f.HTTP, f.HTTP[len("http://"):])
	}
	return nil
}

// take brings the File up to date with the addresses and the directory of this run.
func take(f *File, srv *server.Server, dir string) error {
	f.address(srv)
	f.move(dir)
	return f.write(dir)
}

// move rewrites the paths where the directory was moved since the run before. The
// root's certificate stands in the directory itself.
func (f *File) move(dir string) {
	had := filepath.Dir(f.Root)
	if had == dir {
		return
	}
	for _, path := range []*string{&f.TLSCA, &f.Root, &f.Samples.Good, &f.Samples.Key, &f.Samples.Revoked, &f.Batch.Results} {
		*path = moved(*path, had, dir)
	}
	for name, a := range f.Authorities {
		a.Chain = moved(a.Chain, had, dir)
		f.Authorities[name] = a
	}
}

func moved(path, from, to string) string {
	if rel, err := filepath.Rel(from, path); err == nil && filepath.IsLocal(rel) {
		return filepath.Join(to, rel)
	}
	return path
}

func (f *File) address(srv *server.Server) {
	f.API, f.Devices, f.HTTP, f.Ops = srv.URL("https")+"/api/v1", srv.URL("devices"), srv.URL("http"), srv.URL("ops")
	if f.EST.Label != "" {
		f.EST.Base = f.Devices
	}
}

// writePEM stores a file of the story.
func writePEM(path string, mode fs.FileMode, text string) (string, error) {
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return "", fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return path, nil
}
