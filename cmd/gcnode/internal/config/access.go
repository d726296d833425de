package config

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/access"
)

// maxRate is the most requests a second that an identity can be limited to.
const maxRate = 1_000_000

// tokens reads the secrets by which applications show who they are.
func (r *reader) tokens(in *section, cfg *Config) {
	owners := map[string]string{} // of secrets
	for _, e := range in.entries {
		token := r.token(in.section(e.key), e.key)
		if err := checkID(e.key); err != nil {
			in.wrongKey(e.key, err.Error())
		}
		for _, secret := range token.Secrets {
			if other, there := owners[secret]; there {
				in.wrongKey(e.key, fmt.Sprintf("has the same secret as %q", other))
			}
			owners[secret] = e.key
		}
		cfg.Tokens = append(cfg.Tokens, token)
	}
}

// token reads the secrets of one name: of a file, one a line, or of a variable
// of the environment.
func (r *reader) token(in *section, name string) access.Token {
	token := access.Token{Name: name}
	at, content, ok := r.secretText(in, "a token")
	if !ok {
		return token
	}
	token.Secrets = secretLines(content)
	if len(token.Secrets) == 0 {
		at.wrong("there is no secret in it")
	}
	for _, secret := range token.Secrets {
		checkSecret(at, secret, access.MinSecretBytes)
	}
	return token
}

// secretText reads the setting of a file or of a variable of the environment,
// and what is in it.
func (r *reader) secretText(in *section, what string) (at setting, content string, ok bool) {
	var path, variable string
	file, hasFile := in.text("file", "a file with the secret, such as shop.token", &path)
	env, hasEnv := in.text("env", "a variable of the environment, such as SHOP_TOKEN", &variable)
	in.close()
	switch {
	case hasFile && hasEnv:
		env.wrong("there is a file with the secret already")
	case hasFile:
		data, err := readFile(r.path(path))
		if err != nil {
			file.wrong("%s", err)
			return file, "", false
		}
		return file, string(data), true
	case hasEnv:
		return env, os.Getenv(variable), true
	case in.find("file") == nil && in.find("env") == nil:
		in.missing("file", what+" needs a file with its secret, or env with the name of a variable that has it")
	}
	return file, "", false
}

// secretLines are those of a text, one a line.
func secretLines(content string) []string {
	var secrets []string
	for line := range strings.Lines(content) {
		if line = strings.TrimSpace(line); line != "" {
			secrets = append(secrets, line)
		}
	}
	return secrets
}

// checkSecret reports what is wrong with a secret, which is not shown.
func checkSecret(at setting, secret string, minBytes int) {
	switch bad := func(c rune) bool { return c <= ' ' || c > '~' }; {
	case len(secret) < minBytes:
		at.wrong("a secret must have %d characters or more, such as those of: openssl rand -hex 32", minBytes)
	case strings.ContainsFunc(secret, bad):
		at.wrong("a secret must be printable ASCII without spaces, one a line")
	}
}

// access reads what identities may do.
func (r *reader) access(file *section, cfg *Config) {
	in := file.section("access")
	for _, e := range in.entries {
		rule := in.section(e.key)
		one := access.Rule{
			Read: groupNames(rule, "read", cfg), Write: groupNames(rule, "write", cfg), Remove: groupNames(rule, "remove", cfg),
		}
		rule.count("rate", &one.Rate, 1, maxRate)
		rule.close()
		if cfg.Access == nil {
			cfg.Access = access.List{}
		}
		cfg.Access[e.key] = one
		if !isToken(cfg, e.key) && cfg.TLS.CA == "" {
			in.wrongKey(e.key, "nobody can be this: api.tokens has no such name, and clients are not asked for certificates (api.tls.client_ca)")
		}
	}
	for _, token := range cfg.Tokens {
		if _, there := cfg.Access[token.Name]; !there && !in.broken {
			in.missing(token.Name, "a token that may do nothing is of no use ({read: [\"*\"]} lets it read everything)")
		}
	}
}

func isToken(cfg *Config, name string) bool {
	return slices.ContainsFunc(cfg.Tokens, func(t access.Token) bool { return t.Name == name })
}

// groupNames reads the groups of a right.
func groupNames(in *section, key string, cfg *Config) []string {
	var names []string
	for _, name := range in.texts(key, "names of groups, or \"*\" for all") {
		known := name.value == access.Every || slices.ContainsFunc(cfg.Groups, func(g Group) bool { return g.Name == name.value })
		if !known {
			name.wrong("there is no group %q here", name.value)
		}
		names = append(names, name.value)
	}
	return names
}
