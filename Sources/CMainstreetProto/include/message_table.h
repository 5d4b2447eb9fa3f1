#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

// What the bytes of a field are, as far as the wire goes.
enum {
  MAINSTREET_VARINT,
  MAINSTREET_FIXED64,
  MAINSTREET_FIXED32,
  MAINSTREET_STRING,
  MAINSTREET_BYTES,
  MAINSTREET_MESSAGE,
};

typedef struct mainstreet_message mainstreet_message;

typedef struct {
  uint32_t number;
  // One of the constants above.
  uint8_t kind;
  bool repeated;
  // Of a message field, else NULL.
  const mainstreet_message *message;
} mainstreet_field;

// A message type as the validating pass sees it. `fields` and `descriptor->fields` are in the same order.
struct mainstreet_message {
  const ProtobufCMessageDescriptor *descriptor;
  uint32_t field_count;
  const mainstreet_field *fields;
};
