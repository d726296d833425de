// What Extism modules import, as far as this one does, and what gcnode adds.

#include <stdint.h>

#define FROM(module, name) __attribute__((import_module(module), import_name(name)))
#define ENV(name) FROM("extism:host/env", name)
#define USER(name) FROM("extism:host/user", name)

ENV("input_length") uint64_t input_length(void);
ENV("input_load_u8") uint32_t input_load_u8(uint64_t offset);
ENV("input_load_u64") uint64_t input_load_u64(uint64_t offset);
ENV("output_set") void output_set(uint64_t offset, uint64_t length);
ENV("error_set") void error_set(uint64_t offset);
ENV("alloc") uint64_t alloc(uint64_t length);
ENV("free") void release(uint64_t offset);
ENV("length") uint64_t length_of(uint64_t offset);
ENV("load_u8") uint32_t load_u8(uint64_t offset);
ENV("load_u64") uint64_t load_u64(uint64_t offset);
ENV("store_u8") void store_u8(uint64_t offset, uint32_t byte);
ENV("store_u64") void store_u64(uint64_t offset, uint64_t word);
ENV("config_get") uint64_t config_get(uint64_t name);
ENV("var_get") uint64_t var_get(uint64_t name);
ENV("var_set") void var_set(uint64_t name, uint64_t value);

USER("gcnode_ttl") void gcnode_ttl(int64_t ms);
USER("gcnode_not_found") void gcnode_not_found(void);
