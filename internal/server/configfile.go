package server

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// ConfigName is the name of the configuration file within a data directory.
const ConfigName = "pando.yaml"

// maxConfig is the size of the largest configuration file, in bytes.
const maxConfig = 1 << 20

// ReadConfig reads a configuration file, without defaults.
func ReadConfig(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = fmt.Errorf("%s: larger than %d bytes", path, maxConfig)
	}
	if err != nil {
		return Config{}, err
	}
	cfg, err := ParseConfig(text)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// ParseConfig reads a configuration document strictly: a key that Config does not
// have, and one that stands twice, is an error with line and caret. An empty document
// is the zero Config.
func ParseConfig(text []byte) (Config, error) {
	var cfg Config
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return cfg, errors.New(yaml.FormatError(err, false, true))
	}
	if len(file.Docs) > 1 {
		return cfg, errors.New("it holds more than one document")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return cfg, nil
	}
	// The decoder can be brought to panic by tags, and by aliases to never end.
	found := new(*token.Token)
	ast.Walk(plainYAML{found}, file.Docs[0].Body)
	if *found != nil {
		err = &yaml.SyntaxError{Message: "anchors, aliases, tags and complex keys have no place here", Token: *found}
	} else {
		err = yaml.NodeToValue(file.Docs[0].Body, &cfg, yaml.Strict())
	}
	if err != nil {
		return Config{}, errors.New(yaml.FormatError(err, false, true))
	}
	return cfg, nil
}

// plainYAML visits a document and keeps the first token of what is more than
// mappings, sequences and scalars.
type plainYAML struct{ found **token.Token }

// Visit is called for each node.
func (p plainYAML) Visit(node ast.Node) ast.Visitor {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode, *ast.MappingKeyNode, *ast.DirectiveNode:
		if *p.found == nil {
			*p.found = node.GetToken()
		}
		return nil
	}
	return p
}
