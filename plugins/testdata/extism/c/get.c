// An Extism module for tests: the first byte of the key says what it does with
// the rest.

#include "extism.h"

#include <stdlib.h>
#include <string.h>

static uint64_t give(const char *bytes, size_t size) {
  uint64_t at = alloc(size);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word;
    memcpy(&word, bytes + i, 8);
    store_u64(at + i, word);
  }
  for (; i < size; i++)
    store_u8(at + i, (uint8_t)bytes[i]);
  return at;
}

static void answer(uint64_t at) { output_set(at, length_of(at)); }

__attribute__((export_name("get"))) int32_t get(void) {
  size_t size = input_length();
  char *key = malloc(size + 1);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word = input_load_u64(i);
    memcpy(key + i, &word, 8);
  }
  for (; i < size; i++)
    key[i] = (char)input_load_u8(i);
  key[size] = 0;

  int32_t result = 0;
  char *rest = size > 0 ? key + 1 : key;
  uint64_t block = give(rest, strlen(rest));
  switch (key[0]) {
  case '=': // the rest
    answer(block);
    break;
  case 'c': // a setting
    answer(config_get(block));
    break;
  case 'v': { // what the variable "last" was before it is the rest
    answer(var_get(give("last", 4)));
    var_set(give("last", 4), block);
    break;
  }
  case 't': // the rest is its life in milliseconds
    gcnode_ttl(strtoll(rest, NULL, 10));
    answer(block);
    break;
  case 'n':
    gcnode_not_found();
    break;
  case 'e':
    error_set(block);
    result = 1;
    break;
  default:
    result = 2;
  }
  free(key);
  return result;
}
