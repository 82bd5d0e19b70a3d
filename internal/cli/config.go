package cli

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/goccy/go-yaml"
	"github.com/pando-pki/pando/internal/server"
)

// dataFlags say which deployment's data a command works on.
type dataFlags struct {
	Data   string `placeholder:"DIR" env:"PANDO_DATA" help:"Data directory (default: what the configuration file says, or its own directory)."`
	Config string `placeholder:"FILE" env:"PANDO_CONFIG" help:"Configuration file (default: pando.yaml in the data directory)."`
}

// load reads the configuration file and returns the effective configuration:
// the file's fields, the flags, and the defaults of the rest. Data is a path
// from the working directory.
func (f *dataFlags) load() (server.Config, error) {
	file := f.Config
	if file == "" {
		if f.Data == "" {
			return server.Config{}, usagef("which deployment? Name its data directory with --data, or its configuration file with --config")
		}
		file = filepath.Join(f.Data, server.ConfigName)
	}
	cfg, err := server.ReadConfig(file, server.DefaultConfig())
	if errors.Is(err, fs.ErrNotExist) {
		return server.Config{}, hintf(err, "'pando init --data DIR' sets up a new data directory")
	}
	if err != nil {
		return server.Config{}, err
	}
	switch {
	case f.Data != "":
		cfg.Data = f.Data
	case cfg.Data == "":
		cfg.Data = filepath.Dir(file)
	case !filepath.IsAbs(cfg.Data):
		cfg.Data = filepath.Join(filepath.Dir(file), cfg.Data)
	}
	return cfg, nil
}

// serveFlags override fields of the configuration file.
type serveFlags struct {
	HTTPS   string `name:"https" placeholder:"HOST:PORT" help:"Address for people: the REST API."`
	Devices string `placeholder:"HOST:PORT" help:"Address for devices, with TLS."`
	HTTP    string `name:"http" placeholder:"HOST:PORT" help:"Address for OCSP, CRLs and CA certificates, without TLS."`
	Ops     string `placeholder:"HOST:PORT" help:"Address for health, readiness and metrics."`
}

// apply sets each field for which there is a flag.
func (f *serveFlags) apply(cfg *server.Config) {
	for _, o := range []struct {
		flag  string
		field *string
	}{
		{f.HTTPS, &cfg.Listen.HTTPS},
		{f.Devices, &cfg.Listen.Devices},
		{f.HTTP, &cfg.Listen.HTTP},
		{f.Ops, &cfg.Listen.Ops},
	} {
		if o.flag != "" {
			*o.field = o.flag
		}
	}
}

// configCommand is "pando config".
type configCommand struct {
	dataFlags
	serveFlags
}

func (configCommand) Help() string {
	return `Prints the configuration that 'pando serve' would run with, given the same flags: file, flags and defaults. The file is read strictly: an unknown key is an error, and so is a value that no server can run with.

Examples:

    pando config --data /var/lib/pando
    pando config --config /etc/pando.yaml --https 0.0.0.0:8443`
}

// Run prints the effective configuration.
func (f *configCommand) Run(c *console) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	f.apply(&cfg)
	if err := cfg.Check(); err != nil {
		return err
	}
	return c.result(cfg, func(w io.Writer) error {
		text, err := yaml.Marshal(cfg)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
}
