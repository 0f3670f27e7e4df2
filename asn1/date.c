#include "asn1/date.h"

/* The calendar repeats every 400 years = 146097 days. Years begin in March here, so that the leap
 * day is a year's last; day 0 is 0000-03-01, which is 719468 days before 1970-01-01. */
#define DAYS_TO_1970 719468
#define DAYS_IN_ERA 146097

struct kb_date kb_date_of(int64_t time)
{
    int64_t seconds = (time % 86400 + 86400) % 86400;
    int64_t day = (time - seconds) / 86400 + DAYS_TO_1970;
    int64_t era = (day >= 0 ? day : day - (DAYS_IN_ERA - 1)) / DAYS_IN_ERA;
    int day_of_era = (int)(day - era * DAYS_IN_ERA);
    int year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (DAYS_IN_ERA - 1)) /
        365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month = (5 * day_of_year + 2) / 153; /* 0: March */

    return (struct kb_date){
        .year = (int)(era * 400) + year_of_era + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = day_of_year - (153 * month + 2) / 5 + 1,
        .hour = (int)(seconds / 3600),
        .minute = (int)(seconds / 60 % 60),
        .second = (int)(seconds % 60),
    };
}

int64_t kb_time_of(const struct kb_date *date)
{
    int64_t year = date->month > 2 ? date->year : date->year - 1;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year =
        (153 * (date->month > 2 ? date->month - 3 : date->month + 9) + 2) / 5 + date->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return (era * DAYS_IN_ERA + day_of_era - DAYS_TO_1970) * 86400 + date->hour * 3600 +
           date->minute * 60 + date->second;
}
