package fuel

import (
	"bytes"
	"fmt"
)

// sectionID is the number of a section in the binary format.
type sectionID byte

const (
	sectionCustom sectionID = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
	sectionTag
)

func (id sectionID) String() string {
	switch id {
	case sectionCustom:
		return "custom section"
	case sectionType:
		return "type section"
	case sectionImport:
		return "import section"
	case sectionFunction:
		return "function section"
	case sectionTable:
		return "table section"
	case sectionMemory:
		return "memory section"
	case sectionGlobal:
		return "global section"
	case sectionExport:
		return "export section"
	case sectionStart:
		return "start section"
	case sectionElement:
		return "element section"
	case sectionCode:
		return "code section"
	case sectionData:
		return "data section"
	case sectionDataCount:
		return "data count section"
	case sectionTag:
		return "tag section"
	default:
		return fmt.Sprintf("section %d", byte(id))
	}
}

// rank is the position that the format prescribes for the section; custom
// sections have none.
func (id sectionID) rank() int {
	switch {
	case id == sectionDataCount:
		return int(sectionCode)
	case id >= sectionCode:
		return int(id) + 1
	default:
		return int(id)
	}
}

// section is one section of the input.
type section struct {
	id   sectionID
	body []byte
	// offset is that of the body in the module.
	offset int
}

func (s section) reader() *reader { return &reader{data: s.body, base: s.offset} }

const headerBytes = 8

// maxModuleBytes keeps what is injected within the sizes that the format can
// express: a module grows to less than 16 times its size.
const maxModuleBytes = 1 << 27

// splitSections checks the header and the order of the sections.
func splitSections(module []byte) ([]section, error) {
	const magic, core, component = "\x00asm", "\x01\x00\x00\x00", "\x0d\x00\x01\x00"
	if len(module) < headerBytes || !bytes.HasPrefix(module, []byte(magic)) {
		return nil, fmt.Errorf("%w: no webassembly header", ErrMalformed)
	}
	if len(module) > maxModuleBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are supported", ErrLimit, len(module), maxModuleBytes)
	}
	switch version := string(module[len(magic):headerBytes]); version {
	case core:
	case component:
		return nil, fmt.Errorf("%w: a component; build a core module instead", ErrRefused)
	default:
		return nil, fmt.Errorf("%w: version %x, want 1 of a core module", ErrMalformed, version)
	}

	r := &reader{data: module, pos: headerBytes}
	var sections []section
	rank := 0
	for r.more() {
		start := r.pos
		id := sectionID(r.byte())
		body := r.sub(r.u32())
		switch {
		case id == sectionTag:
			r.failAt(start, ErrRefused, "tag section: exceptions are not supported")
		case id > sectionTag:
			r.failAt(start, ErrMalformed, "unknown section %d", id)
		case id != sectionCustom && id.rank() <= rank:
			r.failAt(start, ErrMalformed, "%v is out of order or repeated", id)
		case id != sectionCustom:
			rank = id.rank()
		}
		sections = append(sections, section{id: id, body: body.data, offset: body.base})
	}
	return sections, r.err
}
