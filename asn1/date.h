/* date.h - seconds since 1970 as a date and back. UTC, no leap seconds, years 0 to 9999.
 *
 * libc's own functions read the time zone, which belongs to the host. Any thread. */
#ifndef KB_DATE_H
#define KB_DATE_H

#include <stdint.h>

struct kb_date {
    int year, month, day, hour, minute, second; /* month and day from 1 */
};

#define KB_TIME_MIN (-62167219200LL) /* 0000-01-01 */
#define KB_TIME_MAX 253402300799LL   /* 9999-12-31 23:59:59 */

struct kb_date kb_date_of(int64_t time);

/* kb_time_of takes a day that its month does not have for one of the next month. */
int64_t kb_time_of(const struct kb_date *date);

#endif
