package cli

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/server"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// defaultConfig is the configuration file that init writes: every field with its
// default and the comment that it has in server.Config. A test keeps it so.
//
//go:embed pando.yaml
var defaultConfig []byte

// initCommand is "pando init".
type initCommand struct {
	Data string `required:"" placeholder:"DIR" env:"PANDO_DATA" help:"Data directory to set up: new, empty, or one whose setting up was interrupted."`
}

func (initCommand) Help() string {
	return `Writes the configuration (pando.yaml), a new key-encryption key (kek.key) and an empty database, and makes the first platform operator, whose API token is printed once, alone on standard output.

Keep a copy of kek.key apart from the data: without it no private key in the database can be opened again.

Examples:

    pando init --data /var/lib/pando > operator.token`
}

// initialised is the result of "pando init".
type initialised struct {
	Data    string       `json:"data"`
	Config  string       `json:"config"`
	TokenID pki.TokenID  `json:"token_id"`
	Expires time.Time    `json:"expires"`
	Secret  client.Token `json:"secret"`
}

// Run sets the data directory up. What is there of an earlier, interrupted run
// is kept.
func (i *initCommand) Run(ctx context.Context, c *console) error {
	if i.Data == "" { // by an empty variable
		return usagef("which directory? Name it with --data")
	}
	if err := makeDataDirectory(i.Data); err != nil {
		return err
	}
	file := filepath.Join(i.Data, server.ConfigName)
	if err := writeNew(file, defaultConfig); err != nil {
		return err
	}
	cfg, err := (&dataFlags{Data: i.Data}).load()
	if err != nil {
		return err
	}
	if err := makeKEK(cfg); err != nil {
		return err
	}
	store, err := sqlstore.Open(ctx, cfg.Database(), sqlstore.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	token, secret, err := access.NewTokens(store, time.Now).First(ctx)
	if pki.KindOf(err) == pki.Conflict {
		return hintf(fmt.Errorf("%s is set up already", i.Data), "start it with 'pando serve --data %s'", i.Data)
	}
	if err != nil {
		return err
	}
	made := initialised{i.Data, file, token.ID, token.Expires, client.TokenOf(secret.Reveal())}
	c.note("set up %s; the platform operator's token, shown this once, expires %s", i.Data, when(token.Expires))
	c.note("next: pando serve --data %s", i.Data)
	return c.result(made, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, made.Secret.Reveal())
		return err
	})
}

// makeDataDirectory makes dir, or accepts one that is empty or pando's.
func makeDataDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return os.Chmod(dir, 0o700)
	}
	if _, err := os.Stat(filepath.Join(dir, server.ConfigName)); err != nil {
		return hintf(fmt.Errorf("%s is not empty and not pando's", dir), "name a new directory")
	}
	return nil
}

// makeKEK makes the key-encryption key where the configuration names a file
// that is not there and nothing can be sealed under it yet.
func makeKEK(cfg server.Config) error {
	source := cfg.KeySource(cfg.Keys.Encryption)
	path, isFile := strings.CutPrefix(source, "file:")
	if !isFile {
		_, err := soft.LoadKEK(source)
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Lstat(cfg.Database()); err == nil {
		return hintf(fmt.Errorf("%s is missing, and the database is there", path),
			"bring the key-encryption key back from its copy: a new one cannot open the keys in the database")
	}
	_, err := soft.CreateKEK(path)
	return err
}

// writeNew writes a file of mode 0600 unless it is there.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
