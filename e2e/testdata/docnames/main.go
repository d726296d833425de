// Command docnames prints what "go doc -all" says that the packages of the
// standard library export: a line of JSON for each package.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/gcnode/gcnode/plugins/godoc/godoctest"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "docnames:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	toolchain, lines := godoctest.Toolchain{}, json.NewEncoder(os.Stdout)
	packages, err := toolchain.StdPackages(ctx)
	if err != nil {
		return err
	}
	for _, importPath := range packages {
		printed, err := toolchain.Doc(ctx, importPath)
		if err != nil {
			return err
		}
		names, err := godoctest.ExportedNames(printed)
		if err != nil {
			return fmt.Errorf("%s: %w", importPath, err)
		}
		if err := lines.Encode(map[string]any{"package": importPath, "names": slices.Sorted(maps.Keys(names))}); err != nil {
			return err
		}
	}
	return nil
}
